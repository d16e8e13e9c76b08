//! What a fault is given: the server, the sessions that are kept running, chance, and a place to say what it does.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    population::{Population, Watched},
    server::{GOOD_SCENES, Server},
};

pub struct Stage {
    pub server: Server,
    pub population: Population,
    pub rng: StdRng,
    /// How sessions of hostile scenes ended: how often, by scene and code.
    pub scene_ends: BTreeMap<String, BTreeMap<String, usize>>,
    /// Processes that the server has without a session.
    pub children_at_rest: usize,
    struck: Instant,
    victim: Option<usize>,
}

impl Stage {
    pub fn new(server: Server, seed: u64) -> Self {
        Self {
            server,
            population: Population::default(),
            rng: StdRng::seed_from_u64(seed),
            scene_ends: BTreeMap::new(),
            children_at_rest: 0,
            struck: Instant::now(),
            victim: None,
        }
    }

    /// A new fault begins, which has harmed nobody yet.
    pub fn begin(&mut self) {
        (self.struck, self.victim) = (Instant::now(), None);
    }

    /// The harm is done, or what does it goes on by itself from here: the time to recovery is counted from now.
    pub fn struck(&mut self) {
        self.struck = Instant::now();
    }

    pub fn struck_at(&self) -> Instant {
        self.struck
    }

    pub fn since_struck(&self) -> Duration {
        self.struck.elapsed()
    }

    /// A session that the fault may end, and no other.
    pub fn choose_victim(&mut self) -> usize {
        let index = self.rng.random_range(0..self.population.len());
        self.victim = Some(index);
        index
    }

    pub fn victim(&self) -> Option<usize> {
        self.victim
    }

    /// A session that is looked at, or joined, and not harmed.
    pub fn choose_session(&mut self) -> usize {
        self.rng.random_range(0..self.population.len())
    }

    /// Bytes of no meaning.
    pub fn garbage(&mut self, bytes: usize) -> Vec<u8> {
        let mut garbage = vec![0; bytes];
        self.rng.fill(&mut garbage[..]);
        garbage
    }

    /// A fresh session of a good scene gives pictures.
    pub async fn probe(&mut self) -> Result<()> {
        let scene = GOOD_SCENES[self.rng.random_range(0..GOOD_SCENES.len())];
        Watched::with_pictures(&self.server, scene).await?.end(&self.server).await
    }
}
