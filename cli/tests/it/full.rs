//! What is kept for giving back on a full disk, and for whom: not for those who ask in vain, and not for those who wait.
use crate::{
    daemon::Daemon,
    disk::{BALLAST, Small, fence, until_full},
};
use std::{fs, path::PathBuf};

/// A daemon on a small disk that is full, with a lease for this and somebody who waits for the same.
fn on_a_full_disk_with(asked: &[&str]) -> Option<(Daemon, Small, PathBuf)> {
    let mut daemon = Daemon::configured(BALLAST);
    daemon.stop();
    fs::remove_dir_all(daemon.state()).expect("removed");
    let small = Small::mount(&daemon.state())?;
    daemon.start();
    assert_eq!(daemon.tell(asked).code, 0);
    assert_eq!(daemon.tell(&[asked, &["--wait", "1h", "--detach"]].concat()).code, 0);
    let filler = small.fill();
    until_full(&daemon);
    Some((daemon, small, filler))
}

/// A daemon on a small disk that is full, with so many leases of a processor's thousandth each.
fn on_a_full_disk(leases: usize) -> Option<(Daemon, Small, PathBuf)> {
    let mut daemon = Daemon::configured(BALLAST);
    daemon.stop();
    fs::remove_dir_all(daemon.state()).expect("removed");
    let small = Small::mount(&daemon.state())?;
    daemon.start();
    for _ in 0..leases {
        assert_eq!(daemon.tell(&["claim", "--cpu", "0.001"]).code, 0);
    }
    let filler = small.fill();
    until_full(&daemon);
    Some((daemon, small, filler))
}

#[test]
fn who_asks_in_vain_uses_up_nothing_that_is_kept_for_giving_back() {
    let Some((mut daemon, _small, filler)) = on_a_full_disk(3) else { return };
    let batches = || {
        let told = daemon.tell(&["doctor", "--journal", &daemon.state().display().to_string()]);
        assert_eq!(told.code, 0, "{told:?}");
        told.out.split_whitespace().filter_map(|word| word.parse::<u64>().ok()).next().expect("a number")
    };
    let before = batches();
    let ask = serde_json::json!({ "lines": [{ "resource": "cpu", "amount": "1" }] });
    let stale = serde_json::json!({ "fence": "1" });
    let mut client = daemon.client();
    for _ in 0..300 {
        client.send::<serde_json::Value>("POST", "/v1/claims", &ask, None).expect_err("no room");
        client.send::<serde_json::Value>("POST", "/v1/claims/1/release", &stale, None).expect_err("stale");
    }
    assert_eq!(batches(), before, "nothing was done");
    for id in ["1", "2"] {
        assert_eq!(daemon.tell(&["release", id, "--fence", &fence(&daemon, id)]).code, 0, "{}", daemon.log());
    }
    // What gives back is not refused for what stands beside it.
    let release = serde_json::json!({ "release": { "id": "3", "fence": fence(&daemon, "3") } });
    let operations = serde_json::json!([{ "ask": ask }, release, { "ask": ask }]);
    let operations: Vec<bursar_wire::Operation> = serde_json::from_value(operations).expect("operations");
    let answers = daemon.client().batch(&operations).expect("answers");
    let reasons = answers.iter().map(|answer| match answer {
        bursar_wire::Outcome::Done(_) => "",
        bursar_wire::Outcome::Refused(problem) => problem.error.reason.as_str(),
    });
    assert_eq!(reasons.collect::<Vec<_>>(), ["StorageFull", "", "StorageFull"], "{answers:?}");
    assert_eq!(daemon.await_phase("3", "closed")["ending"], "released");
    fs::remove_file(&filler).expect("removed");
    daemon.eventually("there is room again", || daemon.tell(&["claim", "--cpu", "0.01"]).code == 0);
    daemon.kill();
    daemon.start();
    for id in ["1", "2", "3"] {
        assert_eq!(daemon.claim(id)["ending"], "released", "{}", daemon.log());
    }
    daemon.stop();
}

#[test]
fn who_waits_is_granted_nothing_until_there_is_room() {
    let Some((mut daemon, _small, filler)) = on_a_full_disk_with(&["claim", "--lock", "l"]) else { return };
    let waiter = daemon.command(&["claim", "--lock", "l", "--wait", "60s"]).spawn();
    let mut waiter = waiter.expect("started");
    assert_eq!(waiter.wait().expect("ended").code(), Some(4), "nobody comes to wait");
    assert_eq!(daemon.tell(&["release", "1", "--fence", &fence(&daemon, "1")]).code, 0);
    assert_eq!(daemon.await_phase("1", "closed")["ending"], "released");
    assert_eq!(daemon.claim("2")["phase"], "pending", "the lock is free, and there is no room");
    // Nor is it tried all the time.
    let lines = daemon.log().lines().count();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(daemon.log().lines().count() < lines + 5, "{}", daemon.log());
    assert_eq!(daemon.claim("2")["phase"], "pending");
    fs::remove_file(&filler).expect("removed");
    daemon.await_phase("2", "held");
    daemon.stop();
}

#[test]
fn what_cannot_be_written_at_all_is_said_and_not_tried_all_the_time() {
    let Some((mut daemon, small, filler)) = on_a_full_disk(2) else { return };
    let told = daemon.tell(&["renew", "1", "--fence", &fence(&daemon, "1"), "--ttl", "1500ms"]);
    assert_eq!(told.code, 0, "{told:?}");
    // What the ballast left as well, and what the log has room for.
    let mut filled = 0;
    let fence_of_2 = fence(&daemon, "2");
    daemon.eventually("not even a renewal has room", || {
        filled += 1;
        small.fill_into(&format!("more-{filled}"));
        let told = daemon.tell(&["renew", "2", "--fence", &fence_of_2]);
        assert!(told.code == 0 || told.err.contains("kept for releases is used up"), "{told:?}");
        told.code != 0
    });
    std::thread::sleep(std::time::Duration::from_secs(3));
    let lines = daemon.log().lines().count();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(daemon.log().lines().count() < lines + 20, "{}", daemon.log());
    for number in 1..=filled {
        fs::remove_file(daemon.state().join(format!("more-{number}"))).expect("removed");
    }
    fs::remove_file(&filler).expect("removed");
    assert_eq!(daemon.await_phase("1", "closed")["ending"], "lease_expired");
    assert_eq!(daemon.claim("2")["phase"], "held");
    daemon.stop();
}
