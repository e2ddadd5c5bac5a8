//! Where children are started: on one thread that lives as long as the host does. The kernel ends a child
//! with the *thread* that started it (`PR_SET_PDEATHSIG`), so no thread that may end must start one.
use std::{
    io,
    process::{Child, Command},
    sync::{
        OnceLock,
        mpsc::{Sender, channel},
    },
};

type Order = (Command, Sender<io::Result<Child>>);

/// Starts a process.
///
/// # Errors
/// What the system says; and when the thread that starts processes cannot be had.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    static ORDERS: OnceLock<Option<Sender<Order>>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (send, receive) = channel::<Order>();
        let work = move || {
            for (mut command, answer) in receive {
                // Nobody waits any more: the child ends with its handle's pipes.
                let _ = answer.send(command.spawn());
            }
        };
        std::thread::Builder::new().name("nursery".into()).spawn(work).is_ok().then_some(send)
    });
    let gone = || io::Error::other("there is no thread that starts processes");
    let (answer, told) = channel();
    orders.as_ref().ok_or_else(gone)?.send((command, answer)).map_err(|_| gone())?;
    told.recv().map_err(|_| gone())?
}
