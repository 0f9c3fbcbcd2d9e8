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

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
enum Hand {
    Empty,
    /// Events after `from` up to `to` were read.
    Read {
        from: u8,
        to: u8,
    },
    /// They were done up to `to`: sent, or (the flaw) noted as sent.
    Done {
        from: u8,
        read_to: u8,
        to: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Append,
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
                if let Hand::Read { from, to } = hand {
                    actions.extend((0..to - from).map(|taken| Action::Send(relay, taken)));
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Append => state.end += 1,
            Action::Read(relay) => state.hands[relay] = Hand::Read { from: state.cursor, to: state.end },
            Action::Send(relay, taken) => {
                let (from, to) = match state.hands[relay] {
                    Hand::Read { from, to } => (from, to),
                    Hand::Done { from, read_to, .. } => (from, read_to),
                    Hand::Empty => return None,
                };
                (from + 1..=from + taken).for_each(|id| state.published |= 1 << id);
                state.faults -= u8::from(taken < to - from);
                let done = Hand::Done { from, read_to: to, to: from + taken };
                state.hands[relay] = if self.is_cursor_first || taken == 0 { Hand::Empty } else { done };
            }
            Action::Move(relay) => {
                let (from, read_to, to) = match state.hands[relay] {
                    Hand::Read { from, to } => (from, to, to),
                    Hand::Done { from, read_to, to } => (from, read_to, to),
                    Hand::Empty => return None,
                };
                // Another relay moved it: this one's session ends.
                let is_where_it_was = state.cursor == from;
                if is_where_it_was {
                    state.cursor = to;
                }
                let goes_on = self.is_cursor_first && is_where_it_was;
                state.hands[relay] = if goes_on { Hand::Done { from, read_to, to } } else { Hand::Empty };
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
                let is_read_again = |hand: &Hand| matches!(hand, Hand::Read { from, .. } if state.published >> (from + 1) != 0);
                state.hands.iter().any(is_read_again)
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
                Hand::Read { .. } if self.is_cursor_first => actions.push(Action::Move(relay)),
                Hand::Read { from, to } => actions.push(Action::Send(relay, to - from)),
                Hand::Done { from, read_to, .. } if self.is_cursor_first => {
                    actions.push(Action::Send(relay, read_to - from));
                }
                Hand::Done { .. } => actions.push(Action::Move(relay)),
            }
        }
    }
}
