//! The network between each pair.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use super::Done;
use crate::history::now;
use crate::link::{Link, Weather};
use crate::process::pass;
use crate::world::World;

/// A link, what it is called, and whose silence it excuses.
type Pair<'a> = (Vec<&'a Link>, String, &'static str);

fn draw<'a>(world: &'a World, chance: &mut StdRng) -> Pair<'a> {
    let number = chance.random_range(0..2);
    let coordinator = &world.coordinators[number];
    match chance.random_range(0..7) {
        0 => (coordinator.databases.iter().collect(), format!("{} and PostgreSQL", coordinator.name), ""),
        1 => (vec![&coordinator.broker], format!("{} and RabbitMQ", coordinator.name), ""),
        2 => (vec![&world.simulated_link], "simulated workers and RabbitMQ".to_owned(), "simulated-"),
        3 => (vec![&world.library_link], "library workers and RabbitMQ".to_owned(), "library-"),
        4 => (vec![&world.real_link], "real workers and RabbitMQ".to_owned(), "real-"),
        5 => (world.database.replication.iter().collect(), "PostgreSQL and its standby".to_owned(), ""),
        _ => (vec![&world.subscriber_link], "subscriber and RabbitMQ".to_owned(), ""),
    }
}

async fn change(world: &World, pair: Pair<'_>, weather: Weather, lasts: Duration) -> Done {
    let (links, what, whose) = pair;
    let from = now();
    for link in &links {
        link.set(weather);
    }
    pass(lasts).await;
    for link in &links {
        link.set(Weather::Fair);
    }
    if !whose.is_empty() {
        world.history.disturbed(whose, from);
    }
    Done::back_now(format!("{what}: {weather:?} for {lasts:?}"))
}

pub(super) async fn cut(world: &World, chance: &mut StdRng, lasts: Duration) -> Done {
    let pair = draw(world, chance);
    change(world, pair, Weather::Cut, lasts).await
}

pub(super) async fn delay(world: &World, chance: &mut StdRng, lasts: Duration) -> Done {
    let pair = draw(world, chance);
    let time = Duration::from_millis(chance.random_range(20..400));
    change(world, pair, Weather::Delayed(time), lasts).await
}

pub(super) async fn throttle(world: &World, chance: &mut StdRng, lasts: Duration) -> Done {
    let pair = draw(world, chance);
    let rate = chance.random_range(2_000..40_000);
    change(world, pair, Weather::Throttled(rate), lasts).await
}

/// What is held back arrives in the end, or the connection is found dead.
pub(super) async fn half_open(world: &World, chance: &mut StdRng, lasts: Duration) -> Done {
    let (links, what, whose) = draw(world, chance);
    let weather = if chance.random_bool(0.5) { Weather::DeafServer } else { Weather::DeafClient };
    let is_dead = chance.random_bool(0.5);
    let cut = links.clone();
    let from = now();
    for link in &links {
        link.set(weather);
    }
    pass(lasts * 2).await;
    if is_dead {
        for link in cut {
            link.set(Weather::Cut);
        }
        pass(Duration::from_millis(200)).await;
    }
    for link in &links {
        link.set(Weather::Fair);
    }
    if !whose.is_empty() {
        world.history.disturbed(whose, from);
    }
    Done::back_now(format!("{what}: {weather:?} for {lasts:?}, then dead: {is_dead}"))
}
