//! The rules of machines: first word, revival, states, draining, silence.

use super::{Decision, Hearing, Policy, Rejection, Transition};
use crate::domain::machine::MachineStateName;
use crate::domain::{EventKind, Machine, MachineState, NewEvent, OfflineReason, PersonName, Timestamp};

/// Hears a word from a machine. It comes before what the word says is judged.
///
/// *Leaves* its heartbeat moved, if that is older than [`Policy::heartbeat_resolution`]; ONLINE with an `ONLINE` event, if this is its
/// first word or it was OFFLINE because it was silent.
pub fn hear(machine: &Machine, policy: &Policy, now: Timestamp) -> Option<Transition> {
    let is_revived = machine.state == MachineState::Offline(OfflineReason::Watchdog);
    if machine.heartbeat.is_none() || is_revived {
        let machine = Machine {
            state: MachineState::Online,
            date_state: now,
            heartbeat: Some(now),
            hostname: machine.hostname.clone(),
        };
        let events = vec![NewEvent::new(EventKind::Online).machine(&machine.hostname)];
        return Some(Transition { events, machine: Some(machine), ..Transition::default() });
    }
    let is_old = machine.heartbeat.is_some_and(|heartbeat| now - heartbeat > policy.heartbeat_resolution());
    is_old.then(|| {
        let machine = Machine { heartbeat: Some(now), ..machine.clone() };
        Transition { machine: Some(machine), ..Transition::default() }
    })
}

/// Sets the state that an operator wants.
///
/// *Requires* another state than it has, and never OFFLINE → QUIESCING.
///
/// *Leaves* the state, and exactly one event. OFFLINE is STOPPED, also when it was OFFLINE by WATCHDOG.
pub fn set_state(
    machine: &Machine,
    state: MachineStateName,
    user: &PersonName,
    message: Option<&str>,
    now: Timestamp,
) -> Decision {
    use MachineState::{Offline, Online, Quiescing};
    let stopped = Offline(OfflineReason::Stopped);
    let to = match (machine.state, state) {
        (Quiescing | Offline(_), MachineStateName::Online) => Online,
        (Online, MachineStateName::Quiescing) => Quiescing,
        (Online | Quiescing | Offline(OfflineReason::Watchdog), MachineStateName::Offline) => stopped,
        _ => {
            let state = machine.state.name();
            return Err(Rejection::WrongMachineState { machine: machine.hostname.clone(), state });
        }
    };
    Ok(set(machine, to, Some(user), message, now))
}

/// Takes a drained machine off line.
///
/// *Requires* that it has been QUIESCING for long enough; that it runs nothing, the caller has looked at: by
/// its own word and by the database.
///
/// *Leaves* it OFFLINE (QUIESCED), with its event; nothing when it is not to go.
pub fn drain(machine: &Machine, policy: &Policy, now: Timestamp) -> Option<Transition> {
    let is_over =
        machine.state == MachineState::Quiescing && now - machine.date_state >= policy.quiesce_grace;
    is_over.then(|| set(machine, MachineState::Offline(OfflineReason::Quiesced), None, None, now))
}

/// Takes a silent machine off line.
///
/// *Requires* that it is not OFFLINE, and silent for longer than the machine timeout while we heard ourselves.
///
/// *Leaves* it OFFLINE, with its event: WATCHDOG if it was ONLINE, QUIESCED if it was QUIESCING. Its jobs go
/// on; only their own heartbeats decide.
pub fn watch(machine: &Machine, hearing: Option<Hearing>, policy: &Policy, now: Timestamp) -> Decision {
    let reason = match machine.state {
        MachineState::Online => OfflineReason::Watchdog,
        MachineState::Quiescing => OfflineReason::Quiesced,
        MachineState::Offline(_) => {
            let state = machine.state.name();
            return Err(Rejection::WrongMachineState { machine: machine.hostname.clone(), state });
        }
    };
    let last_word = machine.heartbeat.unwrap_or(machine.date_state);
    let is_silent =
        |hearing: Hearing| hearing.is_fresh(now) && hearing.silence(last_word) > policy.machine_timeout;
    if !hearing.is_some_and(is_silent) {
        return Err(Rejection::NotSilent(format!("The machine {}", machine.hostname)));
    }
    Ok(set(machine, MachineState::Offline(reason), None, None, now))
}

fn set(
    machine: &Machine,
    state: MachineState,
    user: Option<&PersonName>,
    message: Option<&str>,
    now: Timestamp,
) -> Transition {
    let kind = match state {
        MachineState::Online => EventKind::Online,
        MachineState::Quiescing => EventKind::Quiesce,
        MachineState::Offline(_) => EventKind::Offline,
    };
    let mut event = NewEvent::new(kind).machine(&machine.hostname).person(user);
    if let Some(reason) = state.offline_reason() {
        event = event.data("OFFLINE_REASON", reason);
    }
    // An empty message says nothing.
    if let Some(message) = message.filter(|message| !message.is_empty()) {
        event = event.data("MESSAGE", message);
    }
    let machine = Some(Machine { state, date_state: now, ..machine.clone() });
    Transition { machine, events: vec![event], ..Transition::default() }
}

#[cfg(test)]
mod tests;
