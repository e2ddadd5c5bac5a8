//! Admission: each input is turned into what it does, or refused with what would be right.
use crate::{
    Engine, apply::join, engine::Tape, feasible, kept::fingerprint, nest::scope_of, soft::check_soft,
};
use bursar_interface::{
    Amount, Ask, ClaimId, Class, Command, Input, LineAsk, NONE, Principal, Reason, Refusal, Row, ScopeId,
    What,
    bound::{
        AMOUNT_MAX, CLAIMS_MAX, KEY_BYTES_MAX, LINES_MAX, NAME_BYTES_MAX, PENDING_MAX, SCOPES_MAX, TTL_NS_MAX,
    },
    canary, check_scope,
};
use bursar_pool::Wanted;

impl Engine {
    /// Carries out an input, or refuses it.
    pub(crate) fn admit(&mut self, cause: u32, input: &Input, tape: &mut Tape<'_>) {
        let outcome = match &input.body {
            Command::Tick => Ok(()),
            Command::Ask(ask) => self.ask(cause, tape, &input.by, ask),
            // It is answered in this step, once all who wait were tried.
            Command::Extend { .. } => {
                self.extensions.push(cause);
                Ok(())
            }
            body => self.verb(cause, tape, &input.by, body),
        };
        if let Err(refusal) = outcome
            && !canary!("who is refused hears nothing")
        {
            self.emit(tape, Some(cause), What::Refused(refusal));
        }
    }

    /// The claim that the same ask has led to before. One for no time at all only looks for it.
    fn repeated(&self, by: &Principal, ask: &Ask) -> Result<Option<ClaimId>, Refusal> {
        let Some((key, (claim, asked))) =
            ask.key.as_ref().and_then(|key| Some((key, self.kept.by_key(&by.root, key)?)))
        else {
            return Ok(None);
        };
        if ask.ttl_ns == 0 || asked == fingerprint(ask) {
            return Ok(Some(claim));
        }
        let message =
            format!("the idempotency key {key:?} was used to ask for something else, which is claim {claim}");
        Err(Refusal::new(Reason::BadRequest, message).hint("use another key, or ask for the same again"))
    }

    fn ask(&mut self, cause: u32, tape: &mut Tape<'_>, by: &Principal, ask: &Ask) -> Result<(), Refusal> {
        if let Some(claim) = self.repeated(by, ask)? {
            self.emit(tape, Some(cause), What::Repeated(claim));
            return Ok(());
        }
        self.check_form(ask)?;
        self.check_room()?;
        let parent = self.check_parent(by, ask)?;
        self.check_holding(by, ask)?;
        if ask.lines.is_empty() && parent.is_none() {
            return bad("the claim has no lines", "ask for at least one resource, as cpu=1");
        }
        let path = scope_of(&self.books, by, ask, parent);
        self.check_fan(by, parent, &path)?;
        let known = self.books.scope(&path);
        if known.is_none() {
            check_scope(&path)?;
        }
        self.check_gang(&path, ask)?;
        if let Some(apart) = &ask.apart {
            check_scope(&join(&by.root, apart))?;
        }
        let mut lines = std::mem::take(&mut self.resolved.lines);
        let mut sets = std::mem::take(&mut self.resolved.sets);
        lines.clear();
        sets.clear();
        let nearest = known.or_else(|| self.nearest_scope(&path));
        let checked = match parent {
            Some(parent) => self.check_within(parent, ask, nearest, &mut lines),
            None => self.check_sets(ask, nearest, &mut lines, &mut sets),
        };
        let checked = checked.and_then(|()| self.check_gang_fits(&path, nearest, ask, &lines));
        let springs = lines.iter().any(|line| line.springs);
        (self.resolved.lines, self.resolved.sets) = (lines, sets);
        checked?;
        if springs {
            self.spring(cause, tape, ask);
        }
        let claim = ClaimId(self.claims + 1);
        let id = |row: Row| ScopeId(self.books.tables().scopes.id[row as usize]);
        let scope = known.map_or(self.books.next_scope(), id);
        // A pool that sprang has a row only now.
        self.resolved.scope = known.filter(|_| !springs && parent.is_none());
        self.emit(tape, Some(cause), What::Queued { claim, scope });
        self.refuse_circle(tape, cause, claim);
        Ok(())
    }

    fn check_form(&self, ask: &Ask) -> Result<(), Refusal> {
        if ask.key.as_ref().is_some_and(|key| key.is_empty() || key.len() > KEY_BYTES_MAX) {
            return bad(
                "the idempotency key is empty or too long",
                &format!("use 1 to {KEY_BYTES_MAX} bytes"),
            );
        }
        let longest = ask.wait_ns.max(ask.ttl_ns).max(ask.expect_ns);
        if longest > TTL_NS_MAX {
            return bad(
                "wait, ttl or expect is too long",
                &format!("at most {} days", TTL_NS_MAX / 86_400_000_000_000),
            );
        }
        if ask.ttl_ns == 0 {
            return bad("ttl is zero", "say how long the lease lasts without renewal, as 1h");
        }
        Ok(())
    }

    fn check_room(&self) -> Result<(), Refusal> {
        let full = |what: &str| Err(Refusal::new(Reason::QueueFull, what).hint("try again later"));
        if self.fresh.len() + self.queue.len() + self.gangs.len() >= PENDING_MAX {
            return full(&format!("{PENDING_MAX} claims wait already"));
        }
        if self.books.live() >= CLAIMS_MAX {
            return full(&format!("{CLAIMS_MAX} claims are alive already"));
        }
        if self.books.scopes() >= SCOPES_MAX {
            return full(&format!("{SCOPES_MAX} scopes are alive already"));
        }
        Ok(())
    }

    pub(crate) fn check_lines(&self, set: &[LineAsk], lines: &mut Vec<Wanted>) -> Result<(), Refusal> {
        for (i, line) in set.iter().enumerate() {
            let Some(resource) = self.books.resource(&line.resource) else {
                let known: Vec<&str> = self.books.specs().iter().map(|spec| spec.name.as_str()).collect();
                return Err(Refusal::new(
                    Reason::UnknownResource,
                    format!("there is no resource {:?}", line.resource),
                )
                .hint(format!("known are: {}", known.join(", "))));
            };
            let spec = self.books.spec(resource);
            if line.whole && spec.springs == 0 {
                return bad(
                    &format!("{} cannot be asked for as a whole", spec.name),
                    "say how much; whole is for kinds whose pools come with their names, as a lock",
                );
            }
            if line.amount == 0 && !line.whole {
                return bad(
                    &format!("{} is zero", spec.name),
                    "ask for more than zero, or leave the line out",
                );
            }
            if line.amount > AMOUNT_MAX {
                return bad(
                    &format!("{} {} {} is beyond any amount", line.amount, spec.unit, spec.name),
                    &format!("at most {AMOUNT_MAX}"),
                );
            }
            if line.amount < spec.min && !line.whole || spec.step > 1 && line.amount % spec.step != 0 {
                return bad(
                    &format!("{} {} of {} cannot be claimed", line.amount, spec.unit, spec.name),
                    &format!("at least {}, in steps of {}", spec.min, spec.step.max(1)),
                );
            }
            if let Some(soft) = line.soft {
                check_soft(spec, line.amount, soft)?;
            }
            let want = match &line.pool {
                None => NONE,
                Some(name) => self.check_pool(resource, name)?,
            };
            self.check_named_once(&set[..=i], resource)?;
            self.check_models(&line.models)?;
            if !self.books.split(line, resource, want, lines) {
                return bad(
                    &format!("the claim comes to more than {LINES_MAX} lines"),
                    "split it into several claims",
                );
            }
        }
        Ok(())
    }

    /// Refused if the last of these lines asks with those before it for more of one name than a name can have.
    fn check_named_once(&self, lines: &[LineAsk], resource: Row) -> Result<(), Refusal> {
        let spec = self.books.spec(resource);
        let Some((last, before)) = lines.split_last().filter(|_| spec.springs > 0) else { return Ok(()) };
        let Some(name) = &last.pool else { return Ok(()) };
        let same = before.iter().filter(|line| line.resource == last.resource && line.pool == last.pool);
        let amount = |line: &LineAsk| if line.whole { spec.springs } else { line.amount };
        let others: Amount = same.map(amount).sum();
        if others == 0 || others.saturating_add(amount(last)) <= spec.springs {
            return Ok(());
        }
        let message = format!("{}:{name} is asked for more than once, and not shared each time", spec.name);
        never(&message, "ask for it once")
    }

    /// Refused if there is none of the models: any of them will do.
    fn check_models(&self, models: &[String]) -> Result<(), Refusal> {
        match models.is_empty() || self.books.known_labels(models) != 0 {
            true => Ok(()),
            false => never(&format!("no pool carries the model {}", models.join(" or ")), ""),
        }
    }

    /// The row of a named pool; [`NONE`] for one that will spring from its name.
    fn check_pool(&self, resource: Row, name: &str) -> Result<Row, Refusal> {
        let spec = self.books.spec(resource);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return bad(
                &format!("{name:?} is no name for a pool"),
                &format!("use 1 to {NAME_BYTES_MAX} printable bytes"),
            );
        }
        match self.books.pool_named(resource, name) {
            Some(row) => Ok(row),
            None if spec.springs > 0 => Ok(NONE),
            None => never(&format!("there is no pool {}:{name}", spec.name), "see `bursar get pools`"),
        }
    }

    /// Refuses at once what could never be granted, even by an idle fleet.
    pub(crate) fn check_fit(&mut self, ask: &Ask, lines: &[Wanted]) -> Result<(), Refusal> {
        let need = match self.books.labels(&ask.need) {
            Ok(need) => need,
            Err(unknown) => {
                return never(&format!("no node carries the label {unknown}"), "see `bursar get nodes`");
            }
        };
        let bar = self.books.known_labels(&ask.bar);
        if let Some(line) =
            lines.iter().find(|line| line.springs && line.amount > self.books.spec(line.resource).springs)
        {
            let spec = self.books.spec(line.resource);
            return never(
                &format!("{} {} is more than a {} can have", line.amount, spec.unit, spec.name),
                &format!("at most {}", spec.springs),
            );
        }
        if self.feasible.ask(&self.books, lines, (need, bar), ask.class == Class::Guaranteed)
            || canary!("what never fits waits")
        {
            return Ok(());
        }
        let standing: Vec<Wanted> = lines.iter().filter(|line| !line.springs).copied().collect();
        let (message, hint) = self.too_much(&standing);
        never(&message, &hint)
    }

    /// Names the line that is more than any node has, with the most that one could ask for.
    fn too_much(&self, lines: &[Wanted]) -> (String, String) {
        let view = self.books.view();
        for line in lines {
            let spec = self.books.spec(line.resource);
            let asked: Amount =
                lines.iter().filter(|other| other.resource == line.resource).map(|other| other.amount).sum();
            let largest = view.resources.largest[line.resource as usize];
            if largest == 0 && view.resources.first_floating[line.resource as usize] == NONE {
                return (format!("this installation has no {}", spec.name), "see `bursar get pools`".into());
            }
            if largest > 0 && asked > largest {
                return (
                    format!("{asked} {} of {} is more than any node has", spec.unit, spec.name),
                    format!("at most {largest} {}", spec.unit),
                );
            }
            // What lies on nodes was looked at; of a pool that was named, or lies on none, there is so much.
            let pooled = line.want != NONE || largest == 0;
            let of_pool = |other: &&Wanted| other.resource == line.resource && other.want == line.want;
            let asked: Amount = match line.want {
                NONE => line.amount,
                _ => lines.iter().filter(of_pool).map(|other| other.amount).sum(),
            };
            if let Some(most) = feasible::most(&self.books, line).filter(|&most| pooled && asked > most) {
                let which = if line.want == NONE { "any pool" } else { self.books.pool_name(line.want) };
                return (
                    format!("{asked} {} of {} is more than {which} ever has at once", spec.unit, spec.name),
                    format!("at most {most} {}", spec.unit),
                );
            }
        }
        (
            "no single node has all of it, even when idle".into(),
            "ask for less, or for fewer kinds at once".into(),
        )
    }

    fn springs(&self, line: &LineAsk) -> bool {
        let Some(name) = &line.pool else { return false };
        let Some(resource) = self.books.resource(&line.resource) else { return false };
        self.books.spec(resource).springs > 0 && self.books.pool_named(resource, name).is_none()
    }

    /// Refuses at once what is above a limit on the way to the root, whoever holds what.
    pub(crate) fn check_limits(&self, nearest: Option<Row>, lines: &[Wanted]) -> Result<(), Refusal> {
        let quotas = &self.books.tables().quotas;
        if quotas.is_empty() {
            return Ok(());
        }
        let Some(scope) = nearest else { return Ok(()) };
        for line in lines.iter().filter(|line| self.books.bounds_any(line.resource)) {
            let asked: Amount =
                lines.iter().filter(|other| other.resource == line.resource).map(|other| other.amount).sum();
            let spec = self.books.spec(line.resource);
            let above = |what: String, most: Amount| {
                let message = format!("{asked} {} of {} is {what}", spec.unit, spec.name);
                Err(Refusal::new(Reason::InsufficientQuota, message).hint(format!("at most {most}")))
            };
            for quota in self.books.quotas_of(scope, line.resource) {
                let limit = self.books.cap(quota);
                if asked > limit {
                    let path = self.books.scope_path(quotas.scope[quota as usize]);
                    return above(format!("above the limit of scope {path:?}"), limit);
                }
            }
            // It may be there now, because others have spent; it would have to wait until they do so again.
            if self.books.ledger_short(scope, line.resource, asked).is_none() {
                continue;
            }
            for quota in self.books.quotas_of(scope, line.resource) {
                let beside = self.books.most_beside(scope, quota);
                if asked > beside {
                    let what = "more than there ever is at once beside what others are assured of";
                    return above(what.into(), beside);
                }
            }
        }
        Ok(())
    }

    /// The deepest scope on a path that exists.
    fn nearest_scope(&self, path: &str) -> Option<Row> {
        let mut path = path;
        loop {
            if let Some(row) = self.books.scope(path) {
                return Some(row);
            }
            path = path.rsplit_once('/').map_or("", |(above, _)| above);
        }
    }

    fn spring(&mut self, cause: u32, tape: &mut Tape<'_>, ask: &Ask) {
        for line in ask.lines.iter().chain(ask.alternatives.iter().flatten()) {
            if let (true, Some(name)) = (self.springs(line), &line.pool) {
                let what = What::PoolSprang {
                    pool: self.books.next_pool(),
                    resource: line.resource.clone(),
                    name: name.clone(),
                };
                self.emit(tape, Some(cause), what);
            }
        }
    }
}

pub(crate) fn bad<T>(message: &str, hint: &str) -> Result<T, Refusal> {
    Err(Refusal::new(Reason::BadRequest, message).hint(hint))
}

pub(crate) fn never<T>(message: &str, hint: &str) -> Result<T, Refusal> {
    Err(Refusal::new(Reason::NeverFits, message).hint(hint))
}
