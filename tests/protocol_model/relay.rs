//! Two relays, a log that grows, and a cursor.

use stateright::{Model, Property};

pub(crate) struct Relay {
    /// So many events are written.
    pub(crate) events: u8,
    /// So often a relay is killed, or a publish is not confirmed.
    pub(crate) faults: u8,
    /// The flaw: the cursor is moved before the confirms.
    pub(crate) is_cursor_first: bool,
}

/// Ids begin with 1.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(crate) struct State {
    end: u8,
    cursor: u8,
    /// The ids that the broker has confirmed, a bit each.
    published: u16,
    hands: [Hand; 2],
    faults: u8,
}

/// What a relay has read, and how far it came with it: while the broker takes what was read, more is read, and the
/// cursor follows what was confirmed.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
enum Hand {
    Empty,
    /// The cursor was left at `from`; up to `done` it was sent, or (the flaw) noted as sent; up to `to` it was read.
    Full {
        from: u8,
        done: u8,
        to: u8,
    },
    /// The broker did not confirm all of it: the cursor is moved to `done`, and the session ends.
    Ending {
        from: u8,
        done: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Append,
    /// What is new in the log is read, whatever is still in the hand.
    Read(usize),
    /// The broker confirms so many of what was read, from its beginning; others it may have taken all the same.
    Send(usize, u8),
    /// The cursor is moved, if it is where it was.
    Move(usize),
    Stop(usize),
}

impl Model for Relay {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State { end: 0, cursor: 0, published: 0, hands: [Hand::Empty; 2], faults: self.faults }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.fair(state, actions);
        if state.faults > 0 {
            for (relay, hand) in state.hands.iter().enumerate() {
                if *hand != Hand::Empty {
                    actions.push(Action::Stop(relay));
                }
                if let Hand::Full { done, to, .. } = hand {
                    actions.extend((0..to - done).map(|taken| Action::Send(relay, taken)));
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Append => state.end += 1,
            Action::Read(relay) => {
                let (from, done) = match state.hands[relay] {
                    Hand::Full { from, done, .. } => (from, done),
                    _ => (state.cursor, state.cursor),
                };
                state.hands[relay] = Hand::Full { from, done, to: state.end };
            }
            Action::Send(relay, taken) => {
                let Hand::Full { from, done, to } = state.hands[relay] else { return None };
                (done + 1..=done + taken).for_each(|id| state.published |= 1 << id);
                let is_all = done + taken == to;
                state.faults -= u8::from(!is_all);
                let done = done + taken;
                state.hands[relay] = match (is_all, self.is_cursor_first) {
                    (true, false) => Hand::Full { from, done, to },
                    (false, false) if done > from => Hand::Ending { from, done },
                    _ => Hand::Empty,
                };
            }
            Action::Move(relay) => {
                let hand = state.hands[relay];
                let (from, done) = match hand {
                    Hand::Full { from, to, .. } if self.is_cursor_first => (from, to),
                    Hand::Full { from, done, .. } | Hand::Ending { from, done } => (from, done),
                    Hand::Empty => return None,
                };
                // Another relay moved it: this one's session ends.
                let is_where_it_was = state.cursor == from;
                if is_where_it_was {
                    state.cursor = done;
                }
                state.hands[relay] = match hand {
                    Hand::Full { to, .. } if is_where_it_was && self.is_cursor_first => {
                        Hand::Full { from: to, done: from, to }
                    }
                    Hand::Full { to, .. } if is_where_it_was && done < to => {
                        Hand::Full { from: done, done, to }
                    }
                    _ => Hand::Empty,
                };
            }
            Action::Stop(relay) => {
                state.hands[relay] = Hand::Empty;
                state.faults -= 1;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("the cursor stands behind what is published", |_, state: &State| {
                (1..=state.cursor).all(|id| state.published & (1 << id) != 0)
            }),
            Property::always("the cursor stands within the log", |_, state: &State| {
                state.cursor <= state.end
            }),
            Property::always("every event is published some day", |model: &Self, state: &State| {
                let mut left = Vec::new();
                model.fair(state, &mut left);
                !left.is_empty() || (state.cursor == model.events && state.end == model.events)
            }),
            Property::sometimes("an event is published twice", |_, state: &State| {
                let is_read_again = |hand: &Hand| matches!(hand, Hand::Full { done, .. } if state.published >> (done + 1) != 0);
                state.hands.iter().any(is_read_again)
            }),
            Property::sometimes("a relay reads on before its cursor is moved", |_, state: &State| {
                let is_ahead =
                    |hand: &Hand| matches!(hand, Hand::Full { from, done, to } if from < done && done < to);
                state.hands.iter().any(is_ahead)
            }),
        ]
    }
}

impl Relay {
    /// What happens without a fault.
    fn fair(&self, state: &State, actions: &mut Vec<Action>) {
        if state.end < self.events {
            actions.push(Action::Append);
        }
        for (relay, hand) in state.hands.iter().enumerate() {
            match *hand {
                Hand::Empty if state.cursor < state.end => actions.push(Action::Read(relay)),
                Hand::Empty => {}
                Hand::Full { from, done, to } if self.is_cursor_first => {
                    actions.push(if from < to {
                        Action::Move(relay)
                    } else {
                        Action::Send(relay, to - done)
                    });
                }
                Hand::Full { from, done, to } => {
                    if to < state.end {
                        actions.push(Action::Read(relay));
                    }
                    if done < to {
                        actions.push(Action::Send(relay, to - done));
                    }
                    if from < done {
                        actions.push(Action::Move(relay));
                    }
                }
                Hand::Ending { .. } => actions.push(Action::Move(relay)),
            }
        }
    }
}
