//! The follower's books, on which strategies are warmed up before they decide: a copy that the desk does not wait for.
use super::{follower::Follower, turn::Mailbox};
use bursar_engine::Engine;
use bursar_interface::View;
use bursar_loader::Scene;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the follower may take to come to where the desk is.
const FOLLOWED: Duration = Duration::from_secs(1);

/// The follower, and the way to the desk that it follows.
pub struct Followed {
    /// Has the copy.
    pub follower: Arc<Follower>,
    /// Knows the desk.
    pub mailbox: Mailbox,
}

impl Scene for Followed {
    fn look(&self, see: &mut dyn FnMut(&View<'_>)) {
        self.follower.read(|engine| see(&engine.view()));
    }

    fn caught_up(&self) -> Option<u64> {
        let (epoch, seq) = self.mailbox.mark()?;
        let since = Instant::now();
        while self.follower.read(Engine::next_seq) < seq {
            if since.elapsed() > FOLLOWED {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Some(epoch)
    }
}
