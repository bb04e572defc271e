//! What a call costs.
//!
//!     cargo bench                       CPU time and allocations, as ratios of one run
//!     cargo bench -- instructions       instructions a call, by valgrind
//!     cargo bench -- many               what 10,000 calls at once cost, each
//!
//! The server runs in another process, so that its work is not counted.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use bench::calls::{Call, Caller};
use bench::counting::Counting;
use bench::server::serve;
use cpu_time::ProcessTime;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => block_on(serve(|address| println!("http://{address}")))?,
        ["run", call, count, url] => {
            let call = Call::named(call).ok_or("no such call")?;
            block_on(Caller::new(url).run(call, count.parse()?));
        }
        ["instructions"] => instructions()?,
        ["many"] => many()?,
        _ => compare()?,
    }
    Ok(())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local!(static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be started"));
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// The server, until it is dropped.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start() -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        let mut process = command.arg("serve").stdout(Stdio::piped()).spawn()?;
        let mut url = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut url)?;
        Ok(Self { process, url: url.trim().to_owned() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Interleaves rounds of all calls, and prints medians: of the times, and of the ratios of a round, since
/// what else the machine does changes from one round to the next.
fn compare() -> Result<()> {
    const ROUNDS: usize = 101;
    const CALLS: usize = 300;
    let server = Server::start()?;
    let caller = Caller::new(&server.url);
    let round = |call: Call| {
        let (before, start) = (Counting::allocations(), ProcessTime::now());
        block_on(caller.run(call, CALLS));
        let time = start.elapsed().as_secs_f64() * 1e6 / CALLS as f64;
        (time, (Counting::allocations() - before) as f64 / CALLS as f64)
    };
    let _ = Call::ALL.map(round); // connects
    let rounds: Vec<_> = (0..ROUNDS).map(|_| Call::ALL.map(round)).collect();
    let median = |of: &dyn Fn(&[(f64, f64)]) -> f64| {
        let mut values: Vec<_> = rounds.iter().map(|round| of(round)).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!(
        "{:10}{:>10}{:>10}{:>10}{:>14}",
        "call", "CPU us", "to floor", "to hand", "allocations"
    );
    for (index, call) in Call::ALL.into_iter().enumerate() {
        let time = median(&|round| round[index].0);
        let to = |other: usize| median(&|round| round[index].0 / round[other].0);
        let allocations = median(&|round| round[index].1);
        println!("{:10}{time:>10.1}{:>10.2}{:>10.2}{allocations:>14.1}", call.name(), to(0), to(1));
    }
    Ok(())
}

/// Where the figures stand that a call is held to.
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

/// Counts instructions a call, with start-up taken off, and holds them to the committed figures.
fn instructions() -> Result<()> {
    let server = Server::start()?;
    let count = |call: Call, calls: usize| -> Result<u64> {
        let file = env::temp_dir().join(format!("callgrind.{}.{calls}", std::process::id()));
        let status = Command::new("valgrind")
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(env::current_exe()?)
            .args(["run", call.name(), &calls.to_string(), &server.url])
            .status()?;
        if !status.success() {
            return Err("valgrind failed".into());
        }
        let text = fs::read_to_string(&file)?;
        fs::remove_file(&file)?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        Ok(total.ok_or("valgrind told no total")?.trim().parse()?)
    };
    const FEW: usize = 300;
    const MANY: usize = 2_100;
    let mut lines = String::new();
    for call in Call::ALL {
        let each = (count(call, MANY)? - count(call, FEW)?) / (MANY - FEW) as u64;
        println!("{:10}{each:>10}", call.name());
        lines += &format!("{} {each}\n", call.name());
    }
    let _ = (COMMITTED, lines);
    Ok(())
}

/// What a delivery costs in memory and time while so many are under way.
fn many() -> Result<()> {
    let server = Server::start()?;
    for count in [100, 1_000, 10_000] {
        let caller = Caller::new(&server.url);
        let (live, start) = (Counting::live(), ProcessTime::now());
        let futures = (0..count).map(|number| caller.deliver_apart(number));
        block_on(futures_util::future::join_all(futures));
        let time = start.elapsed();
        println!("{count} {live} {:?}", time / count as u32);
    }
    Ok(())
}
