//! The log's lines: what a plugin that is linked in says stands under its name, like what one of a library says.
use std::fmt;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// Lines as the inner form has them, with the plugin's name behind what is said in its name.
pub struct Spoken<F>(pub F);

impl<S, N, F> FormatEvent<S, N> for Spoken<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // A line that tells of a plugin names it already.
        let named = event.metadata().target() == "plugin";
        match bursar_sdk::speaker().filter(|_| !named) {
            None => self.0.format_event(context, writer, event),
            Some(plugin) => {
                let mut line = String::new();
                self.0.format_event(context, Writer::new(&mut line), event)?;
                writeln!(writer, "{} plugin={plugin:?}", line.trim_end())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_sdk::{Entry, Make, prelude::*};
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    /// Says what it does.
    struct Talks;

    impl Metric for Talks {
        fn collect(&mut self, _: Time, _: &mut Vec<Sample>) -> Result<(), Fault> {
            tracing::warn!(word = "a word", "it speaks");
            Ok(())
        }
    }

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<u8>>>);

    impl Write for Heard {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("a log").extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_plugin_that_is_linked_in_is_heard_under_its_name_and_nobody_else() {
        let heard = Heard::default();
        let log = heard.clone();
        let form = Spoken(tracing_subscriber::fmt::format());
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .event_format(form)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let make = Make::Metric(|_| Ok(Box::new(Talks)));
            let entry = Entry::new("talks-in-here", "tests", "1.0.0", b"{}", make);
            let metric = entry.metric(&Config::default()).expect("one");
            metric.expect("made").collect(Time(1), &mut Vec::new()).expect("measured");
            tracing::warn!("the host speaks");
        });
        let text = String::from_utf8_lossy(&heard.0.lock().expect("a log")).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].ends_with(r#"it speaks word="a word" plugin="talks-in-here""#), "{text}");
        assert!(lines[1].ends_with("the host speaks"), "{text}");
    }
}
