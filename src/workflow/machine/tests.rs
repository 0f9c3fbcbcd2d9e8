//! Section 7, sentence by sentence.

use strum::VariantArray;

use super::*;
use crate::domain::OfflineReason::{Quiesced, Stopped, Watchdog};
use crate::workflow::fixtures::*;

/// Every state that a machine can be in.
const STATES: [MachineState; 5] = [
    MachineState::Online,
    MachineState::Quiescing,
    MachineState::Offline(Stopped),
    MachineState::Offline(Quiesced),
    MachineState::Offline(Watchdog),
];

fn usual() -> Policy {
    Policy::default()
}

fn data(event: &NewEvent) -> Vec<(&str, &str)> {
    event.data.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

// covers: CIM-05 CIE-09
#[test]
fn a_machine_that_speaks_for_the_first_time_becomes_online() {
    let new = Machine { heartbeat: None, ..machine_in(MachineState::Online) };
    let transition = hear(&new, &usual(), now()).unwrap();
    let expected = Machine { heartbeat: Some(now()), date_state: now(), ..new };
    assert_eq!(transition.machine.as_ref(), Some(&expected));
    assert_eq!(summaries(&transition.events), ["ONLINE bazaar-importer"]);
    assert!(transition.events[0].data.is_empty());
    // However many of its first words arrive at once.
    assert_eq!(hear(&expected, &usual(), now()), None);
}

// covers: CIM-27 CIM-28
#[test]
fn a_word_moves_the_heartbeat_when_that_is_more_than_ten_seconds_old() {
    for state in STATES.into_iter().filter(|state| *state != MachineState::Offline(Watchdog)) {
        for (age, moves) in [(seconds(0), false), (seconds(10), false), (seconds(11), true)] {
            let machine = Machine { heartbeat: Some(ago(age)), ..machine_in(state) };
            let moved = Machine { heartbeat: Some(now()), ..machine.clone() };
            let expected = Transition { machine: Some(moved), ..Transition::default() };
            assert_eq!(hear(&machine, &usual(), now()), moves.then_some(expected), "{state:?} {age}");
        }
    }
}

#[test]
fn a_machine_that_speaks_as_often_as_a_short_timeout_wants_never_seems_silent() {
    let policy = Policy { machine_timeout: seconds(4), ..Policy::default() };
    let machine = Machine { heartbeat: Some(ago(seconds(2))), ..machine_in(MachineState::Online) };
    let moved = hear(&machine, &policy, now()).and_then(|transition| transition.machine);
    assert_eq!(moved.unwrap().heartbeat, Some(now()));
}

#[test]
fn only_a_machine_that_went_silent_comes_back_by_itself() {
    for state in STATES {
        let machine = Machine { heartbeat: Some(ago(seconds(1000))), ..machine_in(state) };
        let transition = hear(&machine, &usual(), now()).unwrap();
        let after = transition.machine.unwrap();
        if state == MachineState::Offline(Watchdog) {
            assert_eq!((after.state, after.date_state), (MachineState::Online, now()));
            assert_eq!(summaries(&transition.events), ["ONLINE bazaar-importer"]);
        } else {
            assert_eq!((after.state, after.date_state), (state, machine.date_state));
            assert!(transition.events.is_empty());
        }
        assert_eq!(after.heartbeat, Some(now()));
    }
}

#[test]
fn a_machine_comes_back_at_once_though_its_last_word_is_fresh() {
    let machine = Machine { heartbeat: Some(now()), ..machine_in(MachineState::Offline(Watchdog)) };
    assert_eq!(hear(&machine, &usual(), now()).unwrap().machine.unwrap().state, MachineState::Online);
}

// covers: CIM-07 CIM-08 CIM-09 CIM-10 CIM-11 CIM-12
#[test]
fn each_allowed_change_of_state_leaves_exactly_one_event_and_no_other_is_allowed() {
    #[track_caller]
    fn check(from: MachineState, to: MachineStateName, after: Option<MachineState>) {
        let user = person("david.allouche");
        let decision = set_state(&machine_in(from), to, &user, None, now());
        let Some(after) = after else {
            assert_eq!(refusal(decision), format!("State of machine bazaar-importer was {}.", from.name()));
            return;
        };
        let transition = decision.unwrap();
        let expected = Machine { state: after, date_state: now(), ..machine_in(from) };
        assert_eq!(transition.machine, Some(expected));
        let kind = if to == MachineStateName::Quiescing { "QUIESCE".to_owned() } else { to.to_string() };
        assert_eq!(summaries(&transition.events), [format!("{kind} david.allouche bazaar-importer")]);
    }

    use MachineState::{Offline, Online, Quiescing};
    let stopped = Some(Offline(Stopped));
    for from in STATES {
        check(from, MachineStateName::Online, (from != Online).then_some(Online));
        check(from, MachineStateName::Quiescing, (from == Online).then_some(Quiescing));
    }
    check(Online, MachineStateName::Offline, stopped);
    check(Quiescing, MachineStateName::Offline, stopped);
    check(Offline(Watchdog), MachineStateName::Offline, stopped); // and so it does not come back
    check(Offline(Stopped), MachineStateName::Offline, None);
    check(Offline(Quiesced), MachineStateName::Offline, None);
}

// covers: CIE-10 CIE-11 CIE-13 CIE-14
#[test]
fn an_event_says_why_and_an_empty_message_says_nothing() {
    #[track_caller]
    fn check(to: MachineStateName, message: Option<&str>, expected: &[(&str, &str)]) {
        let from = match to {
            MachineStateName::Online => MachineState::Quiescing,
            MachineStateName::Quiescing | MachineStateName::Offline => MachineState::Online,
        };
        let transition = set_state(&machine_in(from), to, &person("a"), message, now()).unwrap();
        assert_eq!(data(&transition.events[0]), expected);
    }

    for to in ALL_MACHINE_STATES.into_iter().filter(|to| *to != MachineStateName::Offline) {
        check(to, Some("new disk"), &[("MESSAGE", "new disk")]);
        check(to, Some(""), &[]);
        check(to, None, &[]);
    }
    let reason = ("OFFLINE_REASON", "STOPPED");
    check(MachineStateName::Offline, Some("new disk"), &[("MESSAGE", "new disk"), reason]);
    check(MachineStateName::Offline, Some(""), &[reason]);
}

// covers: CIM-21
#[test]
fn a_machine_that_was_quiescing_for_thirty_seconds_is_drained() {
    #[track_caller]
    fn check(state: MachineState, since_s: i64, is_drained: bool) {
        let machine = Machine { date_state: ago(seconds(since_s)), ..machine_in(state) };
        let Some(transition) = drain(&machine, &Policy::default(), now()) else {
            assert!(!is_drained);
            return;
        };
        assert!(is_drained);
        assert_eq!(transition.machine.unwrap().state, MachineState::Offline(Quiesced));
        assert_eq!(summaries(&transition.events), ["OFFLINE bazaar-importer"]);
        assert_eq!(data(&transition.events[0]), [("OFFLINE_REASON", "QUIESCED")]);
    }

    check(MachineState::Quiescing, 29, false);
    check(MachineState::Quiescing, 30, true);
    check(MachineState::Quiescing, 3000, true);
    for state in STATES.into_iter().filter(|state| *state != MachineState::Quiescing) {
        check(state, 3000, false);
    }
}

#[test]
fn a_silent_machine_goes_off_line_while_we_hear_ourselves() {
    #[track_caller]
    fn check(
        state: MachineState,
        heartbeat_s: i64,
        hearing: Option<(i64, i64)>,
        after: Option<OfflineReason>,
    ) {
        let machine = Machine { heartbeat: Some(ago(seconds(heartbeat_s))), ..machine_in(state) };
        let hearing =
            hearing.map(|(heard, since)| Hearing { heard: ago(seconds(heard)), since: ago(seconds(since)) });
        let decision = watch(&machine, hearing, &Policy::default(), now());
        let Some(reason) = after else {
            assert!(decision.is_err());
            return;
        };
        let transition = decision.unwrap();
        let offline = MachineState::Offline(reason);
        assert_eq!(transition.machine, Some(Machine { state: offline, date_state: now(), ..machine }));
        assert_eq!(summaries(&transition.events), ["OFFLINE bazaar-importer"]);
        assert_eq!(transition.events[0].data["OFFLINE_REASON"], reason.to_string());
    }

    let listening = Some((0, 10_000));
    check(MachineState::Online, 300, listening, None);
    check(MachineState::Online, 301, listening, Some(Watchdog));
    check(MachineState::Quiescing, 300, listening, None);
    check(MachineState::Quiescing, 301, listening, Some(Quiesced));
    check(MachineState::Online, 900, Some((31, 10_000)), None);
    check(MachineState::Online, 900, Some((0, 300)), None);
    check(MachineState::Online, 900, Some((0, 301)), Some(Watchdog));
    check(MachineState::Online, 900, None, None);
    for reason in OfflineReason::VARIANTS {
        check(MachineState::Offline(*reason), 900, listening, None);
    }
}
