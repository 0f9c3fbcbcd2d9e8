//! Heartbeats: when they are due, what they say, and what their answers mean.

use std::collections::HashMap;
use std::time::Duration;

use uuid::Uuid;

use super::lease::BootTime;
use super::settings::Timing;
use crate::broker::ask::DIRECT_REPLY_TO;
use crate::broker::publish::Outgoing;
use crate::domain::{Hostname, RunRef};
use crate::protocol::MAX_BEATS;
use crate::protocol::answer::HeartbeatAnswer;
use crate::protocol::worker::{BeatBody, Heartbeat};

/// A heartbeat with more bytes of jobs than this is cut into several.
const MAX_BYTES: usize = 200 * 1024;

/// What brackets and the machine's name add to the bytes of the jobs.
const ENVELOPE_BYTES: usize = 256;

/// What an interval or a timeout may be, in seconds: a slip in somebody's settings must not silence us.
const SECONDS: std::ops::RangeInclusive<u64> = 1..=24 * 60 * 60;

/// The heartbeats of the machine.
#[derive(Debug)]
pub(super) struct Pulse {
    machine: Hostname,
    interval: Duration,
    first_expiration: Duration,
    /// After how much silence a job is reclaimed, as the newest answer told.
    timeout: Option<Duration>,
    /// When the latest one was sent in this session.
    latest: Option<BootTime>,
    /// Those that await an answer, by message id.
    sent: HashMap<Uuid, Sent>,
}

/// A heartbeat that was sent.
#[derive(Debug)]
pub(super) struct Sent {
    /// When.
    pub(super) at: BootTime,
    /// The runs that it named.
    pub(super) runs: Vec<RunRef>,
}

impl Pulse {
    pub(super) fn new(machine: Hostname, timing: &Timing) -> Self {
        let (interval, first_expiration) = (timing.heartbeat_interval, timing.first_heartbeat_expiration);
        Self { machine, interval, first_expiration, timeout: None, latest: None, sent: HashMap::new() }
    }

    /// When the next heartbeat is due; none while there is no session.
    pub(super) fn due(&self) -> Option<BootTime> {
        self.latest.map(|latest| latest + self.interval)
    }

    /// After how much silence a job is reclaimed, if an answer has told.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The messages that name all these runs; an idle machine sends an empty one.
    pub(super) fn beat(&mut self, runs: Vec<BeatBody>, now: BootTime) -> Vec<Outgoing> {
        self.latest = Some(now);
        let expiration = self.timeout.unwrap_or(self.first_expiration);
        // An answer to what has expired can not come any more.
        self.sent.retain(|_, sent| now.since(sent.at) < expiration);
        cut(runs).into_iter().map(|runs| self.message(runs, expiration, now)).collect()
    }

    /// The heartbeat that is answered, if there is one of that id; from now on, what it tells counts.
    pub(super) fn answered(&mut self, id: Uuid, answer: &HeartbeatAnswer) -> Option<Sent> {
        let sent = self.sent.remove(&id)?;
        let seconds = |n: u64| Duration::from_secs(n.clamp(*SECONDS.start(), *SECONDS.end()));
        self.timeout = Some(seconds(answer.heartbeat_timeout_s));
        self.interval = seconds(answer.heartbeat_interval_s);
        Some(sent)
    }

    /// Whether an answer to this id is awaited.
    pub(super) fn awaits(&self, id: Uuid) -> bool {
        self.sent.contains_key(&id)
    }

    /// Forgets the session: its answers do not come any more.
    pub(super) fn pause(&mut self) {
        self.latest = None;
        self.sent.clear();
    }

    fn message(&mut self, jobs: Vec<BeatBody>, expiration: Duration, now: BootTime) -> Outgoing {
        let id = Uuid::new_v4();
        let run = |beat: &BeatBody| RunRef { job: beat.job, import: beat.import, run: beat.run };
        self.sent.insert(id, Sent { at: now, runs: jobs.iter().map(run).collect() });
        Outgoing {
            expiration: Some(expiration),
            is_transient: true,
            ..message(id, "heartbeat", &Heartbeat { machine: self.machine.clone(), jobs })
        }
    }
}

/// A message of a worker that asks for an answer; its kind is its routing key too.
pub(super) fn message(id: Uuid, kind: &'static str, body: &impl serde::Serialize) -> Outgoing {
    Outgoing {
        routing_key: kind.to_owned(),
        message_id: id.to_string(),
        kind,
        body: to_json(body),
        reply_to: Some(DIRECT_REPLY_TO.to_owned()),
        correlation_id: Some(id.to_string()),
        ..Outgoing::default()
    }
}

fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|error| unreachable!("our messages are JSON: {error}"))
}

/// Cuts a list of runs where a message would hold too many of them or grow too large; one empty list remains.
fn cut(runs: Vec<BeatBody>) -> Vec<Vec<BeatBody>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = ENVELOPE_BYTES;
    for run in runs {
        let size = to_json(&run).len().saturating_add(1);
        let part = parts.last().map_or(0, Vec::len);
        if part == MAX_BEATS || bytes.saturating_add(size) > MAX_BYTES {
            parts.push(Vec::new());
            bytes = ENVELOPE_BYTES;
        }
        bytes = bytes.saturating_add(size);
        parts.last_mut().unwrap_or_else(|| unreachable!("there is one from the beginning")).push(run);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::machine::MachineStateName;
    use crate::domain::{ImportId, JobId, RunId};

    fn pulse() -> Pulse {
        Pulse::new("m".parse().unwrap(), &Timing::default())
    }

    fn runs(count: i64, log_tail: &str) -> Vec<BeatBody> {
        let run = |job| BeatBody {
            job: JobId(job),
            import: ImportId(job),
            run: RunId(Uuid::nil()),
            log_tail: log_tail.to_owned(),
        };
        (0..count).map(run).collect()
    }

    fn answer(interval: u64, timeout: u64) -> HeartbeatAnswer {
        HeartbeatAnswer {
            machine_state: MachineStateName::Online,
            stop: Vec::new(),
            heartbeat_interval_s: interval,
            heartbeat_timeout_s: timeout,
        }
    }

    fn id(message: &Outgoing) -> Uuid {
        message.message_id.parse().unwrap()
    }

    #[test]
    fn an_idle_machine_sends_an_empty_list() {
        let messages = pulse().beat(Vec::new(), BootTime::now());
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].body, br#"{"machine":"m","jobs":[]}"#);
    }

    /// Duty 1: at most 100 jobs and 200 KiB a message.
    #[test]
    fn a_machine_with_more_sends_several_messages() {
        #[track_caller]
        fn check(count: i64, log_tail: &str, messages: usize) {
            let sent = pulse().beat(runs(count, log_tail), BootTime::now());
            assert_eq!(sent.len(), messages);
            assert!(sent.iter().all(|message| message.body.len() <= MAX_BYTES));
        }
        check(100, "", 1);
        check(101, "", 2);
        check(250, &"x".repeat(1024), 3);
        // In JSON, a control character takes six bytes.
        check(100, &"\u{1}".repeat(1024), 4);
    }

    /// Duty 1: the first expires after 60 s, later ones after the timeout that was told.
    #[test]
    fn a_heartbeat_expires_as_it_was_told() {
        let (mut pulse, now) = (pulse(), BootTime::now());
        let first = pulse.beat(Vec::new(), now).remove(0);
        assert_eq!(first.expiration, Some(Duration::from_mins(1)));
        assert!(first.is_transient);
        assert_eq!(pulse.due(), Some(now + Duration::from_secs(30)));

        assert!(pulse.answered(id(&first), &answer(10, 120)).is_some());
        assert_eq!(pulse.due(), Some(now + Duration::from_secs(10)));
        assert_eq!(pulse.beat(Vec::new(), now).remove(0).expiration, Some(Duration::from_mins(2)));
        assert_eq!(pulse.timeout(), Some(Duration::from_mins(2)));
    }

    #[test]
    fn an_answer_that_nobody_waits_for_tells_nothing() {
        let mut pulse = pulse();
        let first = pulse.beat(Vec::new(), BootTime::now()).remove(0);
        pulse.pause();
        assert!(pulse.answered(id(&first), &answer(10, 120)).is_none());
        assert_eq!(pulse.timeout(), None);
    }

    #[test]
    fn an_interval_out_of_range_does_not_silence_us() {
        let (mut pulse, now) = (pulse(), BootTime::now());
        for (told, interval) in [(0, 1), (u64::MAX, 86_400)] {
            let message = pulse.beat(Vec::new(), now).remove(0);
            pulse.answered(id(&message), &answer(told, told)).unwrap();
            pulse.beat(Vec::new(), now);
            assert_eq!(pulse.due(), Some(now + Duration::from_secs(interval)));
        }
    }
}
