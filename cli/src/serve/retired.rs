//! Where strategies go that decide no more. They may take their time to end, a child to hang up, a mirror to be
//! unmapped: that happens on a thread that nobody waits for.
use std::sync::mpsc::{SyncSender, sync_channel};

/// How many may be on their way out at once: who lets one more go sees to its end.
const LEAVING_MAX: usize = 64;

/// The way out.
pub struct Retired<T>(SyncSender<T>);

impl<T: Send + 'static> Retired<T> {
    /// Starts the thread on which they end.
    ///
    /// # Errors
    /// When there is none to be had.
    pub fn start() -> std::io::Result<Retired<T>> {
        let (send, receive) = sync_channel(LEAVING_MAX);
        std::thread::Builder::new().name("plugin-end".into()).spawn(move || receive.iter().for_each(drop))?;
        Ok(Retired(send))
    }

    /// Lets one go, at once unless many are on their way already.
    pub fn take(&self, old: T) {
        // If there is no room, or the thread is gone, it ends here.
        let _ = self.0.try_send(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::mpsc::{Receiver, Sender, channel},
        thread::ThreadId,
    };

    /// Does not go before it may, and tells where it went.
    struct Old(Receiver<()>, Sender<ThreadId>);

    impl Drop for Old {
        fn drop(&mut self) {
            self.0.recv().expect("it may go");
            self.1.send(std::thread::current().id()).expect("told");
        }
    }

    #[test]
    fn whoever_lets_one_go_does_not_wait_for_its_end() {
        let ((let_go, may_go), (tell, told)) = (channel(), channel());
        let retired = Retired::start().expect("a thread");
        retired.take(Old(may_go, tell));
        assert!(told.try_recv().is_err(), "it is still there");
        let_go.send(()).expect("it waits for that");
        assert_ne!(told.recv().expect("gone"), std::thread::current().id());
    }
}
