//! What is told of a load: while it goes on, of each line that was refused, and at the end.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli::output::{Output, line, printable};
use crate::protocol::Refusal;

/// So many refused lines are shown; all of them stand in the file that `--errors` names.
const SHOWN: u64 = 20;

/// How often the bar is drawn, even if nothing is done.
const TICK: Duration = Duration::from_millis(200);

/// What became of a line.
pub(super) enum Told {
    Registered,
    WasThere,
    Refused(Refusal),
}

/// What has become of the lines so far.
pub(super) struct Report {
    begun: Instant,
    bar: ProgressBar,
    errors: Option<BufWriter<File>>,
    counts: Counts,
}

/// The document of a program.
#[derive(Default, Serialize)]
struct Counts {
    registered: u64,
    /// They were there as the file describes them.
    skipped: u64,
    refused: u64,
    /// The last line that was dealt with.
    last_line: u64,
    interrupted: bool,
    seconds: f64,
    /// The first that were refused.
    errors: Vec<RefusedLine>,
}

#[derive(Serialize)]
struct RefusedLine {
    line: u64,
    #[serde(flatten)]
    refusal: Refusal,
}

impl Report {
    /// Begins, with the size of the file, if that is known.
    pub(super) fn begin(size: Option<u64>, errors: Option<&Path>) -> anyhow::Result<Self> {
        let create = |path: &Path| {
            File::create(path).with_context(|| format!("cannot write {}", path.display())).map(BufWriter::new)
        };
        // Drawn on standard error, and only where that is a terminal.
        let bar = size.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let template = match size {
            Some(_) => "{wide_bar} {percent:>3} %  {msg}  {eta} left",
            None => "{spinner} {msg}  {elapsed}",
        };
        bar.set_style(ProgressStyle::with_template(template)?);
        bar.enable_steady_tick(TICK);
        let errors = errors.map(create).transpose()?;
        Ok(Self { begun: Instant::now(), bar, errors, counts: Counts::default() })
    }

    /// Notes what became of the lines of a batch.
    pub(super) fn note(&mut self, told: Vec<(u64, Told)>, last_line: u64, bytes: u64) -> anyhow::Result<()> {
        for (line, told) in told {
            match told {
                Told::Registered => self.counts.registered += 1,
                Told::WasThere => self.counts.skipped += 1,
                Told::Refused(refusal) => self.refused(RefusedLine { line, refusal })?,
            }
        }
        self.counts.last_line = last_line;
        let done = self.counts.registered + self.counts.skipped + self.counts.refused;
        self.bar.set_position(bytes);
        self.bar.set_message(format!(
            "{} imports, {} a second",
            HumanCount(done),
            HumanCount(self.rate(done))
        ));
        Ok(())
    }

    fn refused(&mut self, refused: RefusedLine) -> anyhow::Result<()> {
        self.counts.refused += 1;
        if let Some(errors) = &mut self.errors {
            serde_json::to_writer(&mut *errors, &refused).context("cannot note what was refused")?;
            errors.write_all(b"\n").context("cannot note what was refused")?;
        }
        if self.counts.refused <= SHOWN {
            let RefusedLine { line, refusal: Refusal { reason, code } } = &refused;
            self.bar.suspend(|| eprintln!("{}", printable(&format!("line {line}: {reason} ({code})"))));
            self.counts.errors.push(refused);
        } else if self.counts.refused == SHOWN + 1 {
            self.bar.suspend(|| eprintln!("… and more; --errors FILE notes all of them"));
        }
        Ok(())
    }

    pub(super) fn has_refused(&self) -> bool {
        self.counts.refused > 0
    }

    /// It cannot go on; what is wrong is told after this.
    pub(super) fn give_up(&mut self) {
        self.bar.finish_and_clear();
        if self.counts.last_line > 0 {
            eprintln!("The load {}.", self.how_far());
        }
    }

    /// What to do when it ended before its time.
    fn how_far(&self) -> String {
        let line = self.counts.last_line;
        format!("ended after line {line}; load the same file again, what is there already is skipped")
    }

    /// Says what became of the lines.
    pub(super) fn end(&mut self, output: Output, was_interrupted: bool) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        if let Some(errors) = &mut self.errors {
            errors.flush().context("cannot note what was refused")?;
        }
        self.counts.interrupted = was_interrupted;
        self.counts.seconds = self.begun.elapsed().as_secs_f64();
        if output.is_json() {
            return Ok(output.document(&self.counts)?);
        }
        Ok(self.tell(was_interrupted)?)
    }

    fn tell(&self, was_interrupted: bool) -> io::Result<()> {
        let Counts { registered, skipped, refused, seconds, .. } = self.counts;
        let rate = HumanCount(self.rate(registered + skipped + refused));
        let [registered, skipped, refused] = [registered, skipped, refused].map(HumanCount);
        line(format!(
            "Registered {registered}, skipped {skipped} that are there already, refused {refused}; \
             {seconds:.1} s, {rate} a second."
        ))?;
        if was_interrupted {
            line(format!("Interrupted: it {}.", self.how_far()))?;
        }
        Ok(())
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a rate is shown to people"
    )]
    fn rate(&self, lines: u64) -> u64 {
        (lines as f64 / self.begun.elapsed().as_secs_f64().max(0.001)) as u64
    }
}
