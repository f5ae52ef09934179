//! Which claims the meter tells, and how often.

use super::*;

/// A meter at `br-net` and what it tells.
struct Bench {
    meter: Meter,
    out: Vec<Input>,
}

impl Bench {
    fn new() -> Self {
        let limits = MeterLimits {
            max_flows: 100,
            idle_timeout: std::time::Duration::from_mins(1),
            active_timeout: std::time::Duration::from_mins(30),
            update_interval: std::time::Duration::ZERO,
        };
        Self { meter: Meter::new(ObservationPoint::new("br-net"), LinkType::ETHERNET, limits), out: Vec::new() }
    }

    fn frame(&mut self, millis: u64, frame: &[u8]) -> &mut Self {
        self.meter.packet(at(millis), u32::try_from(frame.len()).expect("short"), frame, &mut self.out);
        self
    }

    fn says(&mut self, millis: u64, host: u8, at: u8) -> &mut Self {
        self.frame(millis, &arp(2, [172, 20, 0, host], mac(at), mac(at)))
    }

    /// When which address was told to be at which MAC.
    fn told(&self) -> Vec<(u64, IpAddr, Mac)> {
        let claim = |input: &Input| match &input.fact {
            Fact::Claim(claim) => {
                Some((u64::try_from(input.at.since(at(0)).as_millis()).expect("small"), claim.ip, claim.mac))
            }
            _ => None,
        };
        self.out.iter().filter_map(claim).collect()
    }

    fn stats(&self) -> PointCounters {
        self.meter.stats()
    }
}

#[test]
fn a_claim_is_told_when_it_is_new_or_changes_and_once_a_minute() {
    let mut bench = Bench::new();
    bench.says(0, 10, 10).says(10, 10, 10).says(59_000, 10, 10).says(60_000, 10, 10).says(61_000, 20, 20);
    let (ten, twenty) = (ip("172.20.0.10"), ip("172.20.0.20"));
    assert_eq!(bench.told(), [(0, ten, mac(10)), (60_000, ten, mac(10)), (61_000, twenty, mac(20))]);
    let stats = bench.stats();
    assert_eq!((stats.claims_reported, stats.claims_withheld, stats.claims_forgotten, stats.non_ip), (3, 2, 0, 5));
}

#[test]
fn two_macs_that_take_turns_are_told_once_a_second_and_a_third_at_once() {
    let mut bench = Bench::new();
    for turn in 0..40 {
        bench.says(turn * 100, 1, if turn % 2 == 0 { 0xff } else { 20 });
    }
    let told: Vec<_> = bench.told().into_iter().map(|(millis, _, mac)| (millis, mac)).collect();
    assert_eq!(told, [(0, BRIDGE), (100, mac(20)), (1200, BRIDGE), (2300, mac(20)), (3400, BRIDGE)]);
    assert_eq!(bench.stats().claims_withheld, 35);
    bench.says(4000, 1, 30);
    assert_eq!(bench.told().last(), Some(&(4000, ip("172.20.0.1"), mac(30))));
}

#[test]
fn a_full_table_forgets_the_oldest_and_says_so() {
    let mut bench = Bench::new();
    for host in 0..=4096_u16 {
        let [high, low] = host.to_be_bytes();
        bench.frame(0, &arp(1, [10, 0, high, low], mac(7), mac(7)));
    }
    assert_eq!((bench.told().len(), bench.stats().claims_forgotten), (4097, 1));
    bench.frame(1, &arp(1, [10, 0, 0, 1], mac(7), mac(7)));
    assert_eq!(bench.told().len(), 4097, "still known");
    bench.frame(2, &arp(1, [10, 0, 0, 0], mac(7), mac(7)));
    assert_eq!((bench.told().len(), bench.stats().claims_forgotten), (4098, 2), "the first was forgotten");
}

#[test]
fn a_question_is_reported_once_for_each_address_that_is_asked_for() {
    let asking = |bench: &mut Bench, target: u8| {
        let message = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &mac(10).0, &[172, 20, 0, 10], &[0; 6], &[172, 20, 0, target]];
        let frame = [&BROADCAST.0[..], &mac(10).0, &[8, 6], &message.concat(), &[0; 18]].concat();
        bench.frame(0, &frame);
    };
    let mut bench = Bench::new();
    for target in [1, 2, 1, 3, 2, 10] {
        asking(&mut bench, target);
    }
    let asked = bench.out.iter().filter_map(|input| match &input.fact {
        Fact::Claim(claim) => Some(claim.asks),
        _ => None,
    });
    let expected = ["172.20.0.1", "172.20.0.2", "172.20.0.3"].map(|target| Some(ip(target)));
    assert_eq!(asked.collect::<Vec<_>>(), expected, "who asks for its own address announces it");
    assert_eq!((bench.stats().claims_reported, bench.stats().claims_withheld), (3, 3));
}

#[test]
fn a_claim_says_where_how_and_in_whose_frame() {
    let mut bench = Bench::new();
    bench.frame(0, &arp(1, [172, 20, 0, 10], mac(10), mac(30)));
    // Neighbour solicitation: a flow as well as a claim, whose frame carries the same MAC.
    let nd = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &[0xfd; 16], &[1, 1], &mac(20).0].concat();
    let head = [&[0x60, 0, 0, 0, 0, 32, 58, 255][..], &[0xfc; 16], &[0xfd; 16]].concat();
    let frame = [&mac(10).0[..], &mac(20).0, &[0x86, 0xdd], &head, &nd].concat();
    bench.frame(1, &frame);
    let claims: Vec<NeighbourClaim> = bench
        .out
        .iter()
        .filter_map(|input| if let Fact::Claim(claim) = &input.fact { Some((**claim).clone()) } else { None })
        .collect();
    let asked = NeighbourClaim {
        point: ObservationPoint::new("br-net"),
        kind: ClaimKind::ArpRequest,
        ip: ip("172.20.0.10"),
        mac: mac(10),
        asks: Some(ip("172.20.0.1")),
        frame_mac: Some(mac(30)),
        to: Some(BROADCAST),
    };
    let solicited = NeighbourClaim {
        kind: ClaimKind::NeighbourSolicitation,
        ip: IpAddr::from([0xfc; 16]),
        mac: mac(20),
        asks: Some(IpAddr::from([0xfd; 16])),
        frame_mac: None,
        to: Some(mac(10)),
        ..asked.clone()
    };
    assert_eq!(claims, [asked, solicited]);
    let stats = bench.stats();
    assert_eq!((stats.non_ip, stats.flow_packets, stats.flows), (1, 1, 1));
}
