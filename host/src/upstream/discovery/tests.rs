//! Groups by priority, and what upstreams make of what sources find.

use std::time::Instant;

use crate::upstream::balance::{Balancer, Settings as Balance};
use crate::upstream::{Endpoint, Endpoints};

use super::*;

fn target(host: u8, weight: u32, priority: u16) -> Target {
    let address = SocketAddr::from(([10, 0, 0, host], 80));
    let origin = Origin::parse(&format!("http://{address}")).expect("a good URL");
    Target { origin, addresses: vec![address], weight, priority }
}

/// An upstream with one endpoint of its own, 10.0.0.9, and a source.
struct Scene {
    source: Arc<Source>,
    discovered: Discovered,
    balancer: Balancer,
}

impl Scene {
    fn new() -> Self {
        let endpoints = Arc::<Endpoints>::default();
        let siblings = endpoints.siblings("orders");
        let fixed: Vec<(Arc<Endpoint>, u32)> =
            endpoints.group(&siblings, &["http://10.0.0.9:80"]).into_iter().flatten().map(|endpoint| (endpoint, 7)).collect();
        let source = Discovery::default().get(Settings::Register("orders".into()));
        let balancer = Balancer::new(Balance::default(), siblings, fixed.clone());
        let discovered = Discovered::new(Arc::clone(&source), Duration::from_secs(10), fixed, endpoints);
        Self { source, discovered, balancer }
    }

    fn finds(&self, targets: Vec<Target>) {
        self.source.publish(targets);
        self.look();
    }

    /// A round of the background.
    fn look(&self) {
        if self.discovered.is_due(Instant::now()) {
            self.discovered.apply(&self.balancer);
        }
    }

    fn endpoint(&self, host: u8) -> Arc<Endpoint> {
        let wanted = format!("10.0.0.{host}:80");
        let set = self.balancer.set();
        Arc::clone(set.all().find(|endpoint| *endpoint.authority == *wanted).expect("it is known"))
    }

    #[track_caller]
    fn check(&self, expected: &[(u8, u32)]) {
        let set = self.balancer.set();
        let members: Vec<(String, u32)> = set.members().iter().map(|member| (member.endpoint.host.to_string(), member.weight)).collect();
        let expected: Vec<(String, u32)> = expected.iter().map(|(host, weight)| (format!("10.0.0.{host}"), *weight)).collect();
        assert_eq!(members, expected);
    }
}

#[test]
fn what_is_found_adds_to_what_is_configured() {
    let scene = Scene::new();
    scene.check(&[(9, 7)]);
    scene.finds(vec![target(2, 1, 0), target(1, 3, 0), target(9, 1, 0)]);
    scene.check(&[(9, 7), (1, 3), (2, 1)]);
    assert_eq!(scene.discovered.source_of(&scene.endpoint(9)), STATIC);
    assert_eq!(scene.discovered.source_of(&scene.endpoint(1)), "register");
}

#[test]
fn who_stays_keeps_its_state_and_who_joins_begins_slowly() {
    let scene = Scene::new();
    scene.finds(vec![target(1, 1, 0)]);
    let before = scene.endpoint(1);
    scene.finds(vec![target(1, 5, 0), target(2, 1, 0)]);
    assert!(Arc::ptr_eq(&before, &scene.endpoint(1)), "the same one, with another weight");
    assert!(scene.endpoint(2).vitals.flags().is_ramping(), "it is new among others");
}

#[test]
fn who_is_gone_is_not_kept() {
    let scene = Scene::new();
    scene.finds(vec![target(1, 1, 0), target(2, 1, 0)]);
    let life = scene.endpoint(1).life();
    scene.finds(vec![target(2, 1, 0)]);
    scene.check(&[(9, 7), (2, 1)]);
    assert_eq!(life.strong_count(), 0, "its idle connections may be closed");
}

#[test]
fn the_next_priority_takes_over_while_the_checks_of_the_first_fail() {
    let scene = Scene::new();
    scene.finds(vec![target(1, 1, 10), target(2, 1, 10), target(3, 1, 20)]);
    scene.check(&[(9, 7), (1, 1), (2, 1)]);
    scene.endpoint(1).vitals.set_healthy(false);
    scene.look();
    scene.check(&[(9, 7), (1, 1), (2, 1)]);
    scene.endpoint(2).vitals.set_healthy(false);
    scene.look();
    scene.check(&[(9, 7), (3, 1)]);
    scene.endpoint(3).vitals.set_healthy(false);
    scene.look();
    scene.check(&[(9, 7), (1, 1), (2, 1)]);
    scene.endpoint(3).vitals.set_healthy(true);
    scene.look();
    scene.check(&[(9, 7), (3, 1)]);
    scene.endpoint(1).vitals.set_healthy(true);
    scene.look();
    scene.check(&[(9, 7), (1, 1), (2, 1)]);
}

#[test]
fn a_source_is_shared_by_those_who_agree_and_forgotten_when_nobody_uses_it() {
    let discovery = Discovery::default();
    let orders = || Settings::Register("orders".into());
    let (one, other) = (discovery.get(orders()), discovery.get(orders()));
    assert!(Arc::ptr_eq(&one, &other));
    one.publish(vec![target(1, 1, 0)]);
    drop((one, other));
    assert_eq!(discovery.get(orders()).found().version, 0, "a source that comes again knows nothing");
}

#[test]
fn a_thousand_registrations_that_come_together_are_one_change_and_their_renewals_none() {
    let (scene, now) = (Scene::new(), Instant::now());
    let crowd: Vec<Target> = (0..1_000_u32).map(|member| Target { origin: origin(member), ..target(0, 1, 0) }).collect();
    let ttl = Duration::from_secs(10);
    for (id, member) in crowd.iter().enumerate() {
        assert_eq!(scene.source.register(&id.to_string(), member.clone(), ttl, now), Ok(true));
    }
    scene.look();
    assert_eq!((scene.source.found().version, scene.balancer.set().members().len()), (1, 1_001));
    for (id, member) in crowd.iter().enumerate() {
        assert!(scene.source.renew(&id.to_string(), &member.origin, 1, ttl, now), "it is known");
    }
    scene.look();
    assert_eq!(scene.source.found().version, 1, "nothing has changed");
}

fn origin(member: u32) -> Origin {
    Origin::parse(&format!("http://10.1.{}.{}:80", member / 250, member % 250)).expect("a good URL")
}
