use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    thread::sleep,
};

use super::{link::PIECE, *};

/// Nothing here takes longer on a machine that is not overloaded.
const PATIENCE: Duration = Duration::from_secs(60);
const LINK: Link = Link {
    round_trip: Duration::ZERO,
    bandwidth: None,
    total: None,
    blackhole: false,
    idle: None,
    cuts: None,
    outage: None,
};

/// Starts a relay, and a server behind it that sends back what it gets.
fn echo(link: Link) -> Relay {
    serve(link, |mut stream| {
        let (mut writer, mut buffer) = (stream.try_clone().unwrap(), vec![0; PIECE]);
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            if writer.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
        let _ = writer.shutdown(Shutdown::Write);
    })
}

/// Starts a relay, and a server behind it that reads and counts.
fn sink(link: Link) -> (Relay, mpsc::Receiver<usize>) {
    let (sender, received) = mpsc::channel();
    let relay = serve(link, move |mut stream| {
        let mut buffer = vec![0; PIECE];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            let _ = sender.send(length);
        }
    });
    (relay, received)
}

fn serve(link: Link, act: impl Fn(TcpStream) + Clone + Send + 'static) -> Relay {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It ends with the process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let act = act.clone();
            thread::spawn(move || act(stream.unwrap()));
        }
    });
    Relay::start(address, link).unwrap()
}

fn connect(relay: &Relay) -> TcpStream {
    let stream = TcpStream::connect(relay.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes, ends, and returns all that comes back.
fn send(relay: &Relay, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(relay);
    let (mut writer, sent) = (stream.try_clone()?, bytes.to_vec());
    let writing = thread::spawn(move || {
        writer.write_all(&sent)?;
        writer.shutdown(Shutdown::Write)
    });
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    writing.join().unwrap()?;
    Ok(answer)
}

fn bytes(count: usize) -> Vec<u8> {
    (0..=250).cycle().take(count).collect()
}

#[test]
fn a_whole_link_forwards_all_bytes_and_counts_them() {
    let relay = echo(LINK);
    let sent = bytes(3_000_000);
    assert_eq!(send(&relay, &sent).unwrap(), sent);
    assert_eq!(send(&relay, b"").unwrap(), b"");
    let counts = Counts { up: 3_000_000, down: 3_000_000, connections: 2, cuts: 0 };
    assert_eq!(relay.counts(), counts);
}

#[test]
fn an_answer_takes_a_round_trip_and_a_connection_another() {
    let round_trip = Duration::from_millis(60);
    let relay = echo(Link { round_trip, ..LINK });
    let (start, mut stream, mut answer) = (Instant::now(), connect(&relay), [0; 1]);
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert!(start.elapsed() >= 2 * round_trip);
    let start = Instant::now();
    stream.write_all(b"y").unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert!(start.elapsed() >= round_trip);
}

#[test]
fn what_is_delayed_keeps_nothing_from_being_taken() {
    let (relay, received) = sink(Link { round_trip: 20 * PATIENCE, ..LINK });
    connect(&relay).write_all(&bytes(4 << 20)).unwrap();
    assert!(relay.wait_for(PATIENCE, |counts| counts.up == 4 << 20));
    assert!(received.try_recv().is_err());
}

#[test]
fn bandwidth_is_of_each_connection_and_direction() {
    let relay = echo(Link { bandwidth: Some(2_000_000), ..LINK });
    let start = Instant::now();
    assert_eq!(send(&relay, &bytes(500_000)).unwrap(), bytes(500_000));
    assert!(start.elapsed() >= Duration::from_millis(250));
    relay.set(LINK);
    assert_eq!(send(&relay, &bytes(50_000_000)).unwrap().len(), 50_000_000);
}

#[test]
fn a_total_is_shared_by_all_connections_of_a_direction() {
    let relay = echo(Link { total: Some(2 << 20), ..LINK });
    let began = Instant::now();
    thread::scope(|scope| {
        let sent = [1, 2, 3, 4].map(|_| scope.spawn(|| send(&relay, &bytes(256 << 10)).unwrap().len()));
        assert!(sent.into_iter().all(|sent| sent.join().unwrap() == 256 << 10));
    });
    // A MiB in all, which comes back while the rest is on its way there.
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
}

#[test]
fn what_is_on_the_way_is_bounded() {
    for link in [LINK, Link { bandwidth: Some(10_000_000), round_trip: Duration::from_millis(80), ..LINK }] {
        let (relay, _received) = sink(link.clone());
        let mut stream = connect(&relay);
        stream.write_all(b"x").unwrap();
        assert!(relay.wait_for(PATIENCE, |counts| counts.up == 1));
        relay.set(Link { blackhole: true, ..link.clone() });
        stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let piece = bytes(PIECE);
        while stream.write(&piece).is_ok() {}
        assert!(relay.counts().up <= link.capacity() + 2 * PIECE as u64);
    }
}

#[test]
fn each_connection_is_cut_within_the_range() {
    let relay = echo(Link { cuts: Some(Cuts { after: 1000..200_000, seed: 7 }), ..LINK });
    let sent = bytes(1 << 20);
    for number in 1..=20 {
        let before = relay.counts();
        // By an end or by a reset.
        assert!(send(&relay, &sent).map_or(true, |answer| answer.len() < sent.len()));
        let counts = relay.counts();
        assert_eq!((counts.connections, counts.cuts), (number, number));
        let passed = counts.up + counts.down - before.up - before.down;
        assert!((1000..200_000).contains(&passed), "{passed}");
    }
    relay.set(LINK);
    assert_eq!(send(&relay, &sent).unwrap(), sent);
}

#[test]
fn an_outage_cuts_all_connections_once_and_refuses_others_for_a_time() {
    let outage = Outage { after: 100_000, lasting: Duration::from_millis(500) };
    let relay = echo(Link { outage: Some(outage), ..LINK });
    let (mut idle, mut answer) = (connect(&relay), [0; 1]);
    idle.write_all(b"x").unwrap();
    idle.read_exact(&mut answer).unwrap();
    let start = Instant::now();
    assert!(send(&relay, &bytes(1 << 20)).map_or(true, |answer| answer.len() < 1 << 20));
    assert!(!matches!(idle.read(&mut answer), Ok(1..)));
    assert!(relay.wait_for(PATIENCE, |counts| counts.cuts == 2));
    while let Err(error) = TcpStream::connect(relay.address()) {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        sleep(POLL);
    }
    assert!(start.elapsed() >= Duration::from_millis(500));
    assert!(relay.returned().is_some());
    assert_eq!(send(&relay, &bytes(1 << 20)).unwrap(), bytes(1 << 20));
    assert_eq!(relay.counts().cuts, 2);
}

#[test]
fn a_cut_is_made_when_it_is_asked_for() {
    let relay = echo(LINK);
    let (mut stream, mut answer) = (connect(&relay), [0; 1]);
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut answer).unwrap();
    relay.cut(Duration::ZERO);
    assert!(!matches!(stream.read(&mut answer), Ok(1..)));
    assert_eq!(send(&relay, b"y").unwrap(), b"y");
    assert_eq!(relay.counts().cuts, 1);
}

#[test]
fn a_black_hole_accepts_and_forwards_nothing_until_it_is_none() {
    let (relay, received) = sink(Link { blackhole: true, ..LINK });
    connect(&relay).write_all(&bytes(1000)).unwrap();
    assert!(relay.wait_for(PATIENCE, |counts| counts.connections == 1));
    assert!(received.recv_timeout(Duration::from_millis(100)).is_err());
    relay.set(LINK);
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), 1000);
}

#[test]
fn a_server_that_is_not_there_breaks_the_connection() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let relay = Relay::start(address, LINK).unwrap();
    assert!(send(&relay, b"x").is_err());
    assert_eq!(relay.counts().cuts, 0);
}

#[test]
fn nothing_listens_once_it_is_dropped() {
    let relay = echo(LINK);
    let (address, mut stream) = (relay.address(), connect(&relay));
    drop(relay);
    assert!(!matches!(stream.read(&mut [0]), Ok(1..)));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_connection_that_is_idle_is_cut_and_no_other() {
    let relay = echo(Link { idle: Some(Duration::from_millis(400)), ..LINK });
    let mut stream = connect(&relay);
    for _ in 0..6 {
        sleep(Duration::from_millis(100));
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
    assert_eq!(relay.counts().cuts, 0);
    let broken = stream.read(&mut [0]);
    assert!(matches!(broken, Ok(0) | Err(_)), "{broken:?}");
    assert!(relay.wait_for(PATIENCE, |counts| counts.cuts == 1));
}

#[test]
fn what_is_forgotten_is_silent_and_what_comes_then_is_not() {
    let relay = echo(LINK);
    let mut forgotten = connect(&relay);
    forgotten.write_all(b"x").unwrap();
    forgotten.read_exact(&mut [0]).unwrap();
    relay.forget();
    sleep(Duration::from_millis(200));
    forgotten.write_all(b"y").unwrap();
    forgotten.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let silent = forgotten.read(&mut [0]).unwrap_err();
    assert_eq!(silent.kind(), io::ErrorKind::WouldBlock);
    // It is the system that gives up: nothing was acknowledged.
    socket2::SockRef::from(&forgotten).set_tcp_user_timeout(Some(Duration::from_millis(300))).unwrap();
    forgotten.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(forgotten.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(send(&relay, b"abc").unwrap(), b"abc");
}

#[test]
fn what_is_swallowed_is_taken_and_leads_nowhere() {
    let (relay, received) = sink(LINK);
    let mut stream = connect(&relay);
    stream.write_all(&bytes(100)).unwrap();
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), 100);
    relay.swallow();
    sleep(Duration::from_millis(200));
    // More than any buffer on the way holds, so that the last of it is written once the first is taken.
    let (done, taken) = mpsc::channel();
    thread::spawn(move || {
        stream.write_all(&bytes(64 << 20)).unwrap();
        let _ = done.send(stream);
    });
    let _open = taken.recv_timeout(PATIENCE).expect("it is taken");
    assert!(received.recv_timeout(Duration::from_millis(200)).is_err(), "it came to the server");
    connect(&relay).write_all(&bytes(7)).unwrap();
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), 7);
}
