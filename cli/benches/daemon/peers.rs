//! Peers beside us, durable, over unix sockets (etcd over the loopback, as its clients do): each is started here if it is installed, and said to be absent
//! if not. A pair is one allocation and its release.
use crate::{
    etcd::Etcd,
    figure::{Figure, goal},
    load::{pair_client, round},
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::{net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const ROUNDS: usize = 5;
/// Clients that are many: the goals are about these.
const MANY: usize = 100;
/// How long a peer may take to be there.
pub(crate) const START: Duration = Duration::from_secs(20);
/// Slots that PostgreSQL hands out.
const SLOTS: u32 = 1_000;
/// Who PostgreSQL runs as: it refuses to be root.
const POSTGRES: &str = "postgres";

/// Ours and each peer, in turn, at 1, 16 and 100 clients.
pub(crate) fn run(folder: &Path, etcd_clients: Option<PathBuf>) {
    let mine = folder.join("ours");
    std::fs::create_dir_all(&mine).expect("a folder");
    let daemon = crate::daemon(&mine);
    let redis = Redis::start(folder);
    let postgres = Postgres::start(folder);
    let etcd = Etcd::start(folder, etcd_clients);
    for clients in [1, 16, MANY] {
        let (mut ours, mut theirs, mut tables, mut slots) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(round(clients, || pair_client(&daemon.socket)).rate / 2.0);
            theirs.extend(redis.as_ref().map(|redis| round(clients, || redis.client()).rate));
            tables.extend(postgres.as_ref().map(|postgres| round(clients, || postgres.client()).rate));
            slots.extend(etcd.as_ref().map(|etcd| etcd.round(clients)));
        }
        let ours = Figure::of(ours);
        println!("{clients:>3} clients, ours, durable           {ours} pairs/s");
        let beside_redis = say(clients, "Redis, AOF always", theirs, &ours);
        say(clients, "PostgreSQL, SKIP LOCKED", tables, &ours);
        let beside_etcd = say(clients, "etcd, a slot by Txn", slots, &ours);
        if clients == MANY {
            let peers = [("ours ÷ Redis", beside_redis, 1.5), ("ours ÷ etcd", beside_etcd, 6.0)];
            for (what, times, least) in peers {
                let what = format!("durable, {clients} clients, {what}");
                times.inspect(|&times| goal(8, &what, times, "×", true, least));
            }
        }
    }
}

/// Says what a peer came to, and how many times that is ours.
fn say(clients: usize, peer: &str, rates: Vec<f64>, ours: &Figure) -> Option<f64> {
    if rates.is_empty() {
        println!("{clients:>3} clients, {peer}: not installed");
        return None;
    }
    let theirs = Figure::of(rates);
    let times = ours.median / theirs.median;
    println!("{clients:>3} clients, {peer:<24} {theirs} pairs/s; ours is {times:.2} times that");
    Some(times)
}

/// A server that ends with this.
pub(crate) struct Server(Child);

impl Server {
    pub(crate) fn of(child: Child) -> Server {
        Server(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is only a bench's.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn quiet(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Whether a server listens before the time is over.
fn listens(socket: &Path) -> bool {
    let since = Instant::now();
    while since.elapsed() < START {
        if UnixStream::connect(socket).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Redis, every write synced before it is answered.
struct Redis {
    socket: PathBuf,
    _server: Server,
}

/// Takes one of what there is, and says by which token; or gives it back.
const TAKE: &str =
    "if redis.call('INCR','used') > 1000000 then return 0 end redis.call('HSET','leases',ARGV[1],1) return 1";
const GIVE: &str = "if redis.call('HDEL','leases',ARGV[1]) == 1 then redis.call('DECR','used') end return 1";

impl Redis {
    fn start(folder: &Path) -> Option<Redis> {
        let (dir, socket) = (folder.join("redis"), folder.join("redis.sock"));
        std::fs::create_dir_all(&dir).expect("a folder");
        let mut command = quiet("redis-server");
        command.args(["--port", "0", "--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
        let server = command.arg("--unixsocket").arg(&socket).arg("--dir").arg(&dir).spawn().ok()?;
        let server = Server(server);
        listens(&socket).then_some(Redis { socket, _server: server })
    }

    fn client(&self) -> impl FnMut() + Send + use<> {
        let mut stream = BufReader::new(UnixStream::connect(&self.socket).expect("connected"));
        let mut n = 0_u64;
        let name = format!("{:?}", std::time::SystemTime::now());
        move || {
            n += 1;
            let token = format!("{name}-{n}");
            for script in [TAKE, GIVE] {
                let request = ["EVAL", script, "0", &token].map(|arg| format!("${}\r\n{arg}\r\n", arg.len()));
                let request = format!("*4\r\n{}", request.concat());
                stream.get_mut().write_all(request.as_bytes()).expect("sent");
                let mut answer = String::new();
                stream.read_line(&mut answer).expect("an answer");
                assert_eq!(answer, ":1\r\n");
            }
        }
    }
}

/// PostgreSQL as it comes: every commit is synced before it is answered.
struct Postgres {
    socket: PathBuf,
    _server: Server,
}

impl Postgres {
    fn start(folder: &Path) -> Option<Postgres> {
        let mut bins: Vec<PathBuf> =
            std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|dir| dir.path()).collect();
        bins.sort();
        let bin = bins.pop()?.join("bin");
        let user = std::fs::read_to_string("/etc/passwd").ok()?;
        let user = user.lines().find(|line| line.starts_with(&format!("{POSTGRES}:")))?;
        let ids: Vec<u32> = user.split(':').skip(2).take(2).filter_map(|id| id.parse().ok()).collect();
        let dir = folder.join("postgres");
        std::fs::create_dir_all(&dir).expect("a folder");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder, open).expect("its user gets through");
        let root = rustix::process::geteuid().is_root();
        if root {
            std::os::unix::fs::chown(&dir, Some(ids[0]), Some(ids[1])).expect("root may");
        }
        let as_user = |program: &str| {
            let mut command = quiet(bin.join(program));
            command.current_dir(&dir);
            if root {
                command.uid(ids[0]).gid(ids[1]);
            }
            command
        };
        let data = dir.join("data");
        let made = as_user("initdb").args(["-A", "trust", "-U", POSTGRES, "-D"]).arg(&data).status().ok()?;
        let mut command = as_user("postgres");
        command.arg("-D").arg(&data).arg("-k").arg(&dir).args([
            "-c",
            "listen_addresses=",
            "-c",
            "max_connections=200",
        ]);
        let server = Server(made.success().then(|| command.spawn().ok())??);
        let socket = dir.join(".s.PGSQL.5432");
        if !listens(&socket) {
            return None;
        }
        let mut first = Session::open(&socket);
        first.query(&format!(
            "create table slots(id int primary key, holder int); insert into slots select n, null from generate_series(1,{SLOTS}) n"
        ));
        Some(Postgres { socket, _server: server })
    }

    fn client(&self) -> impl FnMut() + Send + use<> {
        let mut session = Session::open(&self.socket);
        move || {
            let taken = session.query(
                "update slots set holder = 1 where id = (select id from slots where holder is null limit 1 for update skip locked) returning id",
            );
            let id = taken.expect("there are more slots than clients");
            session.query(&format!("update slots set holder = null where id = {id}"));
        }
    }
}

/// One session in PostgreSQL's own protocol, as far as simple queries need it.
struct Session(BufReader<UnixStream>);

impl Session {
    fn open(socket: &Path) -> Session {
        let since = Instant::now();
        loop {
            let mut stream = BufReader::new(UnixStream::connect(socket).expect("connected"));
            let body = format!("\0\x03\0\0user\0{POSTGRES}\0database\0{POSTGRES}\0\0");
            let length = (body.len() as u32 + 4).to_be_bytes();
            stream.get_mut().write_all(&[&length, body.as_bytes()].concat()).expect("sent");
            let mut session = Session(stream);
            match session.answer() {
                Ok(_) => return session,
                // It listens before it takes anybody.
                Err(why) => assert!(since.elapsed() < START, "{why}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The first column of the last row.
    fn query(&mut self, text: &str) -> Option<String> {
        let length = (text.len() as u32 + 5).to_be_bytes();
        self.0.get_mut().write_all(&[b"Q", &length[..], text.as_bytes(), b"\0"].concat()).expect("sent");
        self.answer().expect("a sound query")
    }

    fn answer(&mut self) -> Result<Option<String>, String> {
        let (mut value, mut error) = (None, None);
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).map_err(|broken| error.clone().unwrap_or(broken.to_string()))?;
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4;
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).map_err(|broken| broken.to_string())?;
            match head[0] {
                b'Z' => return error.map_or(Ok(value), Err),
                b'E' => error = Some(String::from_utf8_lossy(&body).into_owned()),
                // Columns, then the length of the first and its text.
                b'D' => value = Some(String::from_utf8_lossy(&body[6..]).into_owned()),
                _ => {}
            }
        }
    }
}
