//! What the state of a TCP connection costs a packet, by kind of packet. `cargo bench --bench tcp_state`
//!
//! Every case takes [`PACKETS`] packets of one connection, which is in the cache; the table's own cost is in `flow_table`.

use divan::{Bencher, black_box, counter::ItemsCount};
use hopwatch::decode::TcpHeader;
use hopwatch::flow::{TcpHistory, TcpState};
use hopwatch::input::tcp_flags::{ACK, FIN, SYN};

fn main() {
    divan::main();
}

const PACKETS: u32 = 10_000;

#[derive(Clone, Default)]
struct Connection {
    state: TcpState,
    history: TcpHistory,
}

impl Connection {
    fn take(&mut self, from_resp: bool, flags: u8, seq: u32, ack: u32, len: u32) {
        let header = TcpHeader { flags, seq, ack, window: 500 };
        let header = black_box(header);
        if !self.state.plain(from_resp, &header, len) {
            self.state.packet(&mut self.history, from_resp, &header, len);
        }
    }

    fn open() -> Self {
        let mut connection = Self::default();
        connection.take(false, SYN, 0, 0, 0);
        connection.take(true, SYN | ACK, 0, 1, 0);
        connection.take(false, ACK, 1, 1, 0);
        connection
    }
}

/// A download: two segments, one acknowledgement.
#[divan::bench]
fn in_order(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(PACKETS)).with_inputs(Connection::open).bench_local_values(|mut connection| {
        let mut seq = 1_u32;
        for step in 0..PACKETS {
            if step % 3 == 2 {
                connection.take(false, ACK, 1, seq, 0);
            } else {
                connection.take(true, ACK, seq, 1, 1448);
                seq += 1448;
            }
        }
        connection
    });
}

/// Every segment comes twice.
#[divan::bench]
fn resent(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(PACKETS)).with_inputs(Connection::open).bench_local_values(|mut connection| {
        for step in 0..PACKETS {
            connection.take(true, ACK, 1 + step / 2 * 1448, 1, 1448);
        }
        connection
    });
}

/// Connections of five packets: handshake and end.
#[divan::bench]
fn short_connections(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(PACKETS)).bench_local(|| {
        for _ in 0..PACKETS / 5 {
            let mut connection = Connection::open();
            connection.take(false, FIN | ACK, 1, 1, 0);
            connection.take(true, FIN | ACK, 1, 2, 0);
            black_box(&connection);
        }
    });
}
