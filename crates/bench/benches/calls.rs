//! The cost of a call.
//!
//!     cargo bench -p bench                            CPU time and allocations, as ratios of one run
//!     cargo bench -p bench -- many                    what calls cost while thousands are in flight
//!     cargo bench -p bench -- instructions            instructions per call, by valgrind
//!     cargo bench -p bench -- instructions accept     accepts these as the new figures
//!
//! The server runs in another process, so that its work is not counted. With the vendor's client in
//! `target/vendor` (`npm install --prefix target/vendor @botpress/client`), it is measured too.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::{env, fs};

use bench::calls::{Call, Caller};
use bench::counting::Counting;
use bench::server::{BUSY, serve};
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
        ["instructions"] => hold(&instructions()?)?,
        ["instructions", "accept"] => fs::write(ACCEPTED, text(&instructions()?))?,
        ["many"] => many()?,
        [] => compare()?,
        _ => return Err("expected nothing, `many`, `instructions` or `instructions accept`".into()),
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

/// A program that responds to lines with lines, until it is dropped.
struct Program {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(command: &mut Command) -> Result<Self> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = process.stdin.take().ok_or("no input")?;
        let output = BufReader::new(process.stdout.take().ok_or("no output")?);
        Ok(Self { process, input, output })
    }

    fn send(&mut self, line: impl ToString) -> Result<()> {
        Ok(writeln!(self.input, "{}", line.to_string())?)
    }

    fn receive(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The server, and where it is.
fn server() -> Result<(Program, String)> {
    let mut server = Program::start(Command::new(env::current_exe()?).arg("serve"))?;
    let url = server.receive()?;
    Ok((server, url))
}

/// The vendor's client, if it is installed, once its code is compiled.
fn vendor(url: &str) -> Result<Option<Program>> {
    const COMPILED: usize = 10_000;
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = bench.join("../../target/vendor");
    if !folder.join("node_modules/@botpress/client").exists() {
        println!("SKIPPED: the vendor's client (it is not in target/vendor)");
        return Ok(None);
    }
    let script = bench.join("vendor.mjs");
    let mut vendor = Program::start(Command::new("node").arg(script).arg(url).current_dir(folder))?;
    vendor.send(COMPILED)?;
    vendor.receive()?;
    Ok(Some(vendor))
}

/// Interleaves rounds of all calls, and prints medians: of the times, and of the ratios within a round,
/// since the load of the machine changes between rounds.
fn compare() -> Result<()> {
    const ROUNDS: usize = 101;
    const CALLS: usize = 300;
    const WARM: usize = 100;
    let (_server, url) = server()?;
    let mut vendor = vendor(&url)?;
    let caller = Caller::new(&url);
    let mut round = || -> Result<Vec<(f64, Option<f64>)>> {
        let own = Call::ALL.into_iter().map(|call| {
            // Each finds its connections and its code as warm as the others do.
            block_on(caller.run(call, WARM));
            let (before, start) = (Counting::allocations(), ProcessTime::now());
            block_on(caller.run(call, CALLS));
            let time = start.elapsed().as_secs_f64() * 1e6 / CALLS as f64;
            (time, Some((Counting::allocations() - before) as f64 / CALLS as f64))
        });
        let mut figures: Vec<_> = own.collect();
        if let Some(vendor) = &mut vendor {
            vendor.send(CALLS)?;
            figures.push((vendor.receive()?.parse()?, None));
        }
        Ok(figures)
    };
    round()?; // connects
    let rounds = (0..ROUNDS).map(|_| round()).collect::<Result<Vec<_>>>()?;
    println!(
        "{:10}{:>10}{:>10}{:>10}{:>14}",
        "call", "CPU us", "to floor", "to hand", "allocations"
    );
    let names = Call::ALL.into_iter().map(Call::name).chain(["vendor"]);
    for (index, name) in names.enumerate().take(rounds[0].len()) {
        let time = median(&rounds, |round| round[index].0);
        let [floor, hand] =
            [0, 1].map(|other| median(&rounds, |round| round[index].0 / round[other].0));
        let allocations = rounds[0][index].1.map_or(String::new(), |count| format!("{count:.1}"));
        println!("{name:10}{time:>10.1}{floor:>10.2}{hand:>10.2}{allocations:>14}");
    }
    Ok(())
}

/// The cost of a delivery next to this number of others, most of which wait for the rate limit.
fn many() -> Result<()> {
    const ROUNDS: usize = 11;
    const COUNTS: [usize; 3] = [100, 1_000, 10_000];
    let (_server, url) = server()?;
    let caller = Caller::new(&format!("{url}{BUSY}"));
    let round = |count: usize| {
        let (batches, start) = (COUNTS[2] / count, ProcessTime::now());
        let bytes = Counting::needed(|| {
            (0..batches).for_each(|_| block_on(caller.deliver_at_once(count)));
        });
        let time = start.elapsed().as_secs_f64() * 1e6 / (batches * count) as f64;
        (time, bytes as f64 / count as f64)
    };
    let _ = COUNTS.map(round); // learns the ids
    let rounds: Vec<_> = (0..ROUNDS).map(|_| COUNTS.map(round)).collect();
    println!("{:>10}{:>10}{:>10}{:>14}", "at once", "CPU us", "to 100", "bytes a call");
    for (index, count) in COUNTS.into_iter().enumerate() {
        let time = median(&rounds, |round| round[index].0);
        let ratio = median(&rounds, |round| round[index].0 / round[0].0);
        let bytes = median(&rounds, |round| round[index].1);
        println!("{count:>10}{time:>10.1}{ratio:>10.2}{bytes:>14.0}");
    }
    Ok(())
}

fn median<R>(rounds: &[R], of: impl Fn(&R) -> f64) -> f64 {
    let mut values: Vec<_> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The instructions of each call, with start-up taken off.
type Figures = Vec<(&'static str, u64)>;

fn instructions() -> Result<Figures> {
    const FEW: usize = 300;
    const MANY: usize = 2_100;
    let (_server, url) = server()?;
    let count = |call: Call, calls: usize| -> Result<u64> {
        let file = env::temp_dir().join(format!("callgrind.{}.{calls}", std::process::id()));
        let status = Command::new("valgrind")
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(env::current_exe()?)
            .args(["run", call.name(), &calls.to_string(), &url])
            .status()
            .map_err(|error| format!("valgrind: {error}"))?;
        if !status.success() {
            return Err("valgrind failed".into());
        }
        let text = fs::read_to_string(&file)?;
        fs::remove_file(&file)?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        Ok(total.ok_or("valgrind printed no total")?.trim().parse()?)
    };
    let figures = Call::ALL.into_iter().map(|call| {
        let each = (count(call, MANY)? - count(call, FEW)?) / (MANY - FEW) as u64;
        Ok((call.name(), each))
    });
    figures.collect()
}

/// The accepted figures.
const ACCEPTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

fn text(figures: &Figures) -> String {
    figures.iter().map(|(name, figure)| format!("{name} {figure}\n")).collect()
}

/// Fails if a call costs more than its accepted figure. Both are relative to the hand-written call, so processor
/// and C library do not matter.
fn hold(figures: &Figures) -> Result<()> {
    const TOLERATED: f64 = 1.03;
    let accepted = fs::read_to_string(ACCEPTED)?;
    let accepted = |name: &str| -> Result<f64> {
        let line = accepted.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.ok_or(format!("{ACCEPTED} has no figure for {name}"))?.parse()?)
    };
    let hand = figures.iter().find(|(name, _)| *name == "hand").ok_or("no call by hand")?.1 as f64;
    let mut costlier = Vec::new();
    println!("{:10}{:>14}{:>10}{:>10}", "call", "instructions", "to hand", "accepted");
    for (name, figure) in figures {
        let (now, before) = (*figure as f64 / hand, accepted(name)? / accepted("hand")?);
        println!("{name:10}{figure:>14}{now:>10.3}{before:>10.3}");
        if now > before * TOLERATED {
            costlier.push(*name);
        }
    }
    if costlier.is_empty() {
        return Ok(());
    }
    Err(format!("more than 3 % above the accepted figures: {}", costlier.join(", ")).into())
}
