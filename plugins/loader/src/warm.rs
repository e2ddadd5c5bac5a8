//! A child is warmed up before it decides: its mirror is filled, it has looked at all of it, and its plugin was asked
//! once, for nothing. So whoever changes over to it waits for no more than a change of a pointer.
use crate::{
    Reject, Scene,
    child::{Child, Link, State},
    frame::{Question, Reply},
    mirror::Layout,
};
use std::{
    io,
    time::{Duration, Instant},
};

/// How long the plugin may take over its trial, about which nobody waits: as long as a call takes at most.
const TRIAL_MAX: Duration = Duration::from_millis(500);
/// It is warm when it answers within so long: a process that has just used much of a busy machine's time is kept
/// waiting for more, whoever waits for its answer.
const PROMPT: Duration = Duration::from_millis(1);
/// The pause before it is tried again, and how often it is tried at most.
const REST: Duration = Duration::from_millis(5);
const TRIALS_MAX: usize = 8;
/// How long a child may take to look at all of a mirror.
const LOOK_MAX: Duration = Duration::from_secs(2);

impl Child {
    /// Fills the mirror and has the child try itself on it until it answers at once; `trial` makes the question. A plugin that fails its trial
    /// is not blamed for that: nobody has asked it yet. One that is lost by it is started again.
    ///
    /// # Errors
    /// [`Reject::Make`] when the child cannot be started again.
    pub(crate) fn warm(
        &mut self,
        scene: &dyn Scene,
        trial: impl Fn(Layout) -> Question,
    ) -> Result<(), Reject> {
        let primed = self.mirror.as_mut().map(|mirror| mirror.prime(scene));
        let layout = match primed.transpose() {
            Ok(layout) => layout.flatten(),
            Err(error) => return Err(self.unmade(error.to_string())),
        };
        let (Some(layout), State::Up(link)) = (layout, &mut self.state) else { return Ok(()) };
        let tried = link.look_at(&layout).and_then(|()| link.try_out(&trial(layout)));
        match tried {
            Ok(Reply::Fault(_, why)) => {
                tracing::info!(plugin = self.recipe.id, why, "it fails a call with nothing to do");
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::info!(plugin = self.recipe.id, %error, "it was lost in a call with nothing to do");
                self.restart()
            }
        }
    }

    /// Another process in the place of the one that is there.
    fn restart(&mut self) -> Result<(), Reject> {
        let link = self.file().map_err(|error| error.to_string());
        let link = link.and_then(|file| Link::start(&self.recipe, file));
        self.state = State::Up(link.map_err(|why| self.unmade(why))?);
        Ok(())
    }

    fn unmade(&self, why: String) -> Reject {
        Reject::Make { plugin: format!("{} {}", self.recipe.role, self.recipe.id), why }
    }
}

impl Link {
    /// One question and its answer, within a time.
    fn ask(&mut self, question: &Question, within: Duration) -> io::Result<Reply> {
        let until = Instant::now() + within;
        self.send(question).and_then(|()| self.receive(until))
    }

    /// Asks one question again and again until it is answered at once, and takes the last answer.
    fn try_out(&mut self, question: &Question) -> io::Result<Reply> {
        for _ in 1..TRIALS_MAX {
            let since = Instant::now();
            let reply = self.ask(question, TRIAL_MAX)?;
            if since.elapsed() <= PROMPT {
                return Ok(reply);
            }
            std::thread::sleep(REST);
        }
        self.ask(question, TRIAL_MAX)
    }

    /// Has the child look at all of its mirror once.
    pub(crate) fn look_at(&mut self, layout: &Layout) -> io::Result<()> {
        self.ask(&Question::Touch(layout.clone()), LOOK_MAX).map(drop)
    }
}
