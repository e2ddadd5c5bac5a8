//! One tool call: who calls, what it may ask of the daemon, and how it waits.
use crate::{
    Act, Daemon, Parts,
    denial::Denial,
    limits::{ANSWER_MAX, PLACE_TIME, PROGRESS_EVERY},
    pace::Pace,
    terms,
};
use bursar_interface::Reason;
use bursar_wire as wire;
use rmcp::{RoleServer, model::ProgressNotificationParam, service::RequestContext};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval_at, sleep, timeout};

/// A call, as long as it lasts.
pub(crate) struct Call<'a, D> {
    pub(crate) daemon: &'a D,
    pub(crate) pace: &'a Pace,
    /// How long it may last.
    pub(crate) hold: Duration,
    pub(crate) context: &'a RequestContext<RoleServer>,
}

/// How waiting ended.
pub(crate) enum Waited<T> {
    /// With what was waited for.
    Done(T),
    /// It is time to say how things stand.
    TimeOver,
    /// The caller called it off.
    CalledOff,
}

impl<D: Daemon> Call<'_, D> {
    fn from(&self) -> Option<&Parts> {
        self.context.extensions.get::<Parts>()
    }

    /// Has the daemon carry out a request of the contract, which is not long in coming.
    pub(crate) async fn request<T: DeserializeOwned>(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Denial> {
        let answer = timeout(ANSWER_MAX, self.lengthy(method, path, body)).await;
        answer.unwrap_or_else(|_| Err(Denial::away()))
    }

    /// The same where the answer may take as long as it likes.
    pub(crate) async fn lengthy<T: DeserializeOwned>(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Denial> {
        let reply = self.daemon.request(self.from(), method, path, body).await.map_err(|_| Denial::away())?;
        if (200..300).contains(&reply.status) {
            return serde_json::from_slice(&reply.body).map_err(|_| Denial::away());
        }
        let problem: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        match wire::ErrorBody::deserialize(&problem["error"]) {
            Ok(error) => Err(Denial { offers: terms::offers(&problem, &[]), ..Denial::from(&error) }),
            Err(_) => Err(Denial::away()),
        }
    }

    /// Carries out an act that is not long in coming.
    pub(crate) async fn act(&self, act: Act) -> Result<wire::Claim, Denial> {
        timeout(ANSWER_MAX, self.lengthy_act(act)).await.unwrap_or_else(|_| Err(Denial::away()))
    }

    /// The same where the answer may take as long as it likes.
    pub(crate) async fn lengthy_act(&self, act: Act) -> Result<wire::Claim, Denial> {
        let own = act.lines();
        let acted = self.daemon.act(self.from(), act).await.map_err(|_| Denial::away())?;
        acted.map_err(|refused| Denial {
            offers: terms::changes(&refused.offers, &own),
            ..Denial::from(&refused.error)
        })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Denial> {
        self.request("GET", path, None).await
    }

    /// Ends a claim. It may have ended by itself.
    pub(crate) async fn cancel(&self, claim: u64) -> Result<wire::Claim, Denial> {
        let path = format!("/v1/claims/{claim}/cancel");
        self.request::<wire::ClaimAnswer>("POST", &path, Some(&json!({}))).await.map(|answer| answer.claim)
    }

    /// Whether the caller may ask again after all that it was refused.
    pub(crate) fn may_ask(&self) -> Result<(), Denial> {
        self.pace.may_ask(self.daemon.caller(self.from()), Instant::now()).map_err(|after| Denial {
            fix: "too many asks that came to nothing: come back after retry_after_ms, or ask once with wait"
                .into(),
            ..Denial::of(Reason::RateLimited, Some(after.as_millis() as u64 + 1))
        })
    }

    /// Counts an ask that came to no grant.
    pub(crate) fn refused(&self) {
        self.pace.refused(self.daemon.caller(self.from()), Instant::now());
    }

    /// Whether the caller does not want the answer any more.
    pub(crate) fn called_off(&self) -> bool {
        self.context.ct.is_cancelled()
    }

    /// Waits for a claim at most `most`, and no longer than a call may last, with signs of progress.
    pub(crate) async fn wait<F: Future>(
        &self,
        claim: u64,
        mut held: Pin<&mut F>,
        most: Duration,
    ) -> Waited<F::Output> {
        let most = most.min(self.hold);
        let start = tokio::time::Instant::now();
        let mut ticks = interval_at(start + PROGRESS_EVERY, PROGRESS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let over = sleep(most);
        tokio::pin!(over);
        loop {
            tokio::select! {
                biased;
                done = &mut held => return Waited::Done(done),
                () = self.context.ct.cancelled() => return Waited::CalledOff,
                () = &mut over => return Waited::TimeOver,
                _ = ticks.tick() => self.progress(claim, start, most).await,
            }
        }
    }

    /// Says that the call still waits, and at which place, to a caller that wants to know.
    async fn progress(&self, claim: u64, start: tokio::time::Instant, most: Duration) {
        let Some(token) = self.context.meta.get_progress_token() else { return };
        let path = format!("/v1/claims/{claim}");
        // A sign without the place is better than none.
        let look = timeout(PLACE_TIME, self.get::<wire::ClaimAnswer>(&path)).await;
        let place = look.ok().and_then(Result::ok).and_then(|answer| answer.claim.position);
        let told =
            place.map_or_else(|| "waiting in line".into(), |place| format!("waiting in line, place {place}"));
        let sign = ProgressNotificationParam::new(token, start.elapsed().as_secs_f64())
            .with_total(most.as_secs_f64())
            .with_message(told);
        // Whoever does not listen any more calls off.
        let _ = self.context.peer.notify_progress(sign).await;
    }
}
