//! Two writers whose every read and write of a place happens in an order that was drawn beforehand.

use crate::place::Memory;
use archive::{Archive, Destination, DestinationError, Name, Prefix, Put};
use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

/// Whose turn it is. Where the order is at its end, or the one whose turn it is has ended, the other goes on.
#[derive(Debug)]
pub struct Schedule {
    state: Mutex<(VecDeque<usize>, [bool; 2])>,
    turn: Condvar,
}

impl Schedule {
    /// The order with this number.
    pub fn drawn(number: u64) -> Arc<Self> {
        let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let order = (0..200).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::from(state >> 40 & 1 == 1)
        });
        Arc::new(Self { state: Mutex::new((order.collect(), [false; 2])), turn: Condvar::new() })
    }

    /// Waits for its turn, and acts alone.
    fn act<T>(&self, who: usize, act: impl FnOnce() -> T) -> T {
        let mut state = self.state.lock().unwrap();
        loop {
            let (order, ended) = &mut *state;
            while order.front().is_some_and(|next| ended[*next]) {
                order.pop_front();
            }
            if order.front().is_none_or(|next| *next == who) {
                order.pop_front();
                break;
            }
            state = self.turn.wait(state).unwrap();
        }
        let done = act();
        drop(state);
        self.turn.notify_all();
        done
    }

    /// It waits for nobody any more, and nobody for it.
    pub fn end(&self, who: usize) {
        self.state.lock().unwrap().1[who] = true;
        self.turn.notify_all();
    }
}

/// A place as one of the writers reaches it, if it does.
#[derive(Debug)]
struct Reached {
    place: Memory,
    who: usize,
    schedule: Arc<Schedule>,
    dark: bool,
}

/// The archive as this writer sees it; `dark` are the places that he does not reach.
pub fn seen_by(who: usize, places: &[Memory], dark: &[usize], schedule: &Arc<Schedule>) -> Archive {
    let reached = places.iter().enumerate().map(|(index, place)| {
        let (place, schedule, dark) = (place.clone(), schedule.clone(), dark.contains(&index));
        Box::new(Reached { place, who, schedule, dark }) as Box<dyn Destination>
    });
    Archive::at(reached.collect()).unwrap()
}

impl Reached {
    fn act<T>(
        &self,
        act: impl FnOnce(&Memory) -> Result<T, DestinationError>,
    ) -> Result<T, DestinationError> {
        self.schedule.act(self.who, || match self.dark {
            true => Err(DestinationError::Other("no route to host".into())),
            false => act(&self.place),
        })
    }
}

impl Destination for Reached {
    fn get(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, DestinationError> {
        self.act(|place| place.get(name, limit))
    }

    fn put_new(&self, name: &Name, bytes: &[u8]) -> Result<Put, DestinationError> {
        self.act(|place| place.put_new(name, bytes))
    }

    fn put_new_file(&self, name: &Name, from: &Path) -> Result<Put, DestinationError> {
        self.act(|place| place.put_new_file(name, from))
    }

    fn copy_to(&self, name: &Name, limit: u64, to: &mut dyn Write) -> Result<Option<u64>, DestinationError> {
        self.act(|place| place.copy_to(name, limit, to))
    }

    fn remove(&self, name: &Name) -> Result<(), DestinationError> {
        self.act(|place| Destination::remove(place, name))
    }

    fn list(&self, prefix: Prefix) -> Result<Vec<Name>, DestinationError> {
        self.act(|place| place.list(prefix))
    }

    fn describe(&self) -> String {
        self.place.describe()
    }
}
