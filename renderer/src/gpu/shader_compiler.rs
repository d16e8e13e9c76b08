//! The thread on which shaders and pipelines are compiled.
//!
//! naga recurses as deep as an expression nests, and overflowing a stack ends the process: 7 KB of valid WGSL are enough for the
//! stack of a host call. So all of naga runs on one thread with a large stack, on sources of bounded size. It also recurses when
//! a module is dropped, which may happen on any thread, once for each nested block: so blocks may nest only so far.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use futures::channel::oneshot;

use super::GpuError;

/// The largest body of one function, without white space and comments. naga's time is quadratic in the expressions of a
/// function: 131,000 terms in one function of the largest source took 22 s on two slow cores, a quarter of them 1.3 s.
pub const MAX_FUNCTION_BYTES: usize = 64 * 1024;

/// How deep blocks may nest, an `else if` counting as inside of the one before. naga's blocks are dropped recursively, with
/// some hundred bytes of stack for each, on stacks of 1.5 MiB.
pub const MAX_SHADER_NESTING: usize = 1000;

/// 50,000 terms of one sum were compiled on 64 MiB; [`MAX_FUNCTION_BYTES`] hold 32,000, and a constant outside of functions up to
/// 131,000. It is address space, not memory, until it is used.
const STACK_BYTES: usize = 256 * 1024 * 1024;

/// What work that may wait holds in memory, all of it together. A usual pipeline has a kilobyte or two, so tens of thousands can wait.
pub const MAX_WAITING_BYTES: usize = 64 << 20;

/// What work needs besides what it counts: its place in the queue, and the handles that it holds.
const WORK_OVERHEAD_BYTES: usize = 1 << 10;

const THREAD_NAME: &str = "shader-compiler";

type Job = Box<dyn FnOnce() + Send>;

/// The compiler died at the work that it was given. The next work finds it alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shader compiler failed")]
pub struct CompileError;

/// There is more than [`MAX_WAITING_BYTES`] already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too much waits for the shader compiler")]
pub struct QueueFull;

/// What waits for the thread.
#[derive(Default)]
struct Queue {
    jobs: Mutex<Jobs>,
    changed: Condvar,
}

#[derive(Default)]
struct Jobs {
    /// Somebody's thread stands still until it is done, so there are no more of them than threads that call.
    awaited: VecDeque<Job>,
    /// Nobody stands still for it. With the bytes that each holds.
    patient: VecDeque<(usize, Job)>,
    /// All of them together.
    patient_bytes: usize,
    is_closed: bool,
}

impl Queue {
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        // Nothing panics while the lock is held.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.jobs().is_closed = true;
        self.changed.notify_one();
    }

    fn add_awaited(&self, job: Job) {
        self.jobs().awaited.push_back(job);
        self.changed.notify_one();
    }

    fn add_patient(&self, bytes: usize, job: Job) -> Result<(), QueueFull> {
        let bytes = bytes.saturating_add(WORK_OVERHEAD_BYTES);
        let mut jobs = self.jobs();
        let total = jobs.patient_bytes.saturating_add(bytes);
        if total > MAX_WAITING_BYTES {
            return Err(QueueFull);
        }
        jobs.patient_bytes = total;
        jobs.patient.push_back((bytes, job));
        drop(jobs);
        self.changed.notify_one();
        Ok(())
    }

    /// The next job; `None` when there will be none. What nobody stands still for is given up then.
    fn next(&self) -> Option<Job> {
        let idle = |jobs: &mut Jobs| jobs.awaited.is_empty() && jobs.patient.is_empty() && !jobs.is_closed;
        let mut jobs = self.changed.wait_while(self.jobs(), idle).unwrap_or_else(PoisonError::into_inner);
        let awaited = jobs.awaited.pop_front();
        if awaited.is_some() {
            return awaited;
        }
        if !jobs.is_closed {
            let (bytes, job) = jobs.patient.pop_front()?;
            jobs.patient_bytes = jobs.patient_bytes.saturating_sub(bytes);
            return Some(job);
        }
        let given_up = std::mem::take(&mut jobs.patient);
        drop(jobs);
        drop(given_up);
        None
    }
}

/// A handle to the thread; dropping it gives up the asynchronous work that waits, and waits until the thread has ended.
pub struct ShaderCompiler {
    queue: Arc<Queue>,
    /// `None` only while it is dropped.
    thread: Option<JoinHandle<()>>,
}

impl Drop for ShaderCompiler {
    fn drop(&mut self) {
        self.queue.close();
        super::join(self.thread.take());
    }
}

impl ShaderCompiler {
    pub(super) fn start() -> Result<Self, GpuError> {
        let queue = Arc::new(Queue::default());
        let theirs = Arc::clone(&queue);
        let thread = std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                while let Some(job) = theirs.next() {
                    // A panic inside of naga is one shader's failure: whoever waits for the job sees its sender dropped.
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                }
            })
            .map_err(|source| GpuError::Thread { name: THREAD_NAME, source })?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Does `work` on the thread and waits for it: for what is being done now, but not for all that was asked by
    /// [`start_work`](Self::start_work), of which a scene decides how much it is.
    pub fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, CompileError> {
        let (done, result) = mpsc::sync_channel(1);
        let job = Box::new(move || {
            // The caller waits below.
            let _ = done.send(work());
        });
        self.queue.add_awaited(job);
        result.recv().map_err(|mpsc::RecvError| CompileError)
    }

    /// Does `work`, which holds so many `bytes`, on the thread, and lets the caller wait when and as it likes: it returns at once,
    /// however much waits already.
    pub fn start_work<R: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<oneshot::Receiver<R>, QueueFull> {
        let (done, result) = oneshot::channel();
        let job = Box::new(move || {
            // Nobody waits any longer: then nobody misses the result.
            let _ = done.send(work());
        });
        self.queue.add_patient(bytes, job)?;
        Ok(result)
    }
}

/// Refuses a source that is too large or nests too deep to be compiled safely. The text is for the scene's author.
///
/// `max_bytes` is at most [`SHADER_BYTES`](renderer_protocol::limits::SHADER_BYTES), for which the stack is large enough.
pub fn check_source(source: &str, max_bytes: u64) -> Result<(), String> {
    if u64::try_from(source.len()).is_ok_and(|bytes| bytes > max_bytes) {
        return Err(format!(
            "the shader's source has {} bytes; at most {max_bytes} are accepted (the server's setting `max-shader-bytes`)",
            source.len()
        ));
    }
    let Shape { nesting, longest_body } = shape(source.as_bytes());
    if nesting > MAX_SHADER_NESTING {
        return Err(format!(
            "the shader nests {nesting} blocks, counting each `else if` as inside of the one before; at most {MAX_SHADER_NESTING} are accepted"
        ));
    }
    if longest_body > MAX_FUNCTION_BYTES {
        return Err(format!(
            "a function of the shader has {longest_body} bytes besides white space and comments; at most {MAX_FUNCTION_BYTES} are \
             accepted"
        ));
    }
    Ok(())
}

/// What of a source decides over stack and time.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shape {
    /// How deep blocks nest at most.
    nesting: usize,
    /// The most bytes between the braces of an outermost block, without white space and comments.
    longest_body: usize,
}

/// The shape of WGSL, or more for text that is no WGSL. Never less: what is skipped is only what the standard skips, white
/// space and comments.
fn shape(source: &[u8]) -> Shape {
    // One entry per open brace: how many `else` came before it in its chain.
    let mut open: Vec<usize> = Vec::new();
    let mut shape = Shape::default();
    let (mut depth, mut body) = (0_usize, 0_usize);
    // The length of the chain that the last `}` may continue.
    let mut chain = 0_usize;
    let mut after_else = false;
    let mut rest = source;
    while let [first, tail @ ..] = rest {
        match first {
            b'/' if tail.first() == Some(&b'/') => {
                let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
                rest = rest.get(end..).unwrap_or_default();
                continue;
            }
            b'/' if tail.first() == Some(&b'*') => {
                rest = after_block_comment(rest);
                continue;
            }
            b'{' => {
                open.push(chain);
                depth = depth.saturating_add(chain).saturating_add(1);
                shape.nesting = shape.nesting.max(depth);
                (chain, after_else) = (0, false);
            }
            b'}' => {
                shape.longest_body = shape.longest_body.max(body);
                chain = open.pop().unwrap_or(0);
                depth = depth.saturating_sub(chain).saturating_sub(1);
                if open.is_empty() {
                    body = 0;
                }
            }
            byte if byte.is_ascii_alphanumeric() || *byte == b'_' => {
                let end = rest
                    .iter()
                    .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
                    .unwrap_or(rest.len());
                let (word, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                if word == b"else" {
                    chain = chain.saturating_add(1);
                    after_else = true;
                } else if !after_else {
                    chain = 0;
                }
                if !open.is_empty() {
                    body = body.saturating_add(word.len());
                }
                rest = after;
                continue;
            }
            byte if byte.is_ascii_whitespace() || open.is_empty() => {}
            _ => body = body.saturating_add(1),
        }
        rest = tail;
    }
    // A body that never ends is one too.
    shape.longest_body = shape.longest_body.max(body);
    shape
}

/// WGSL's block comments nest.
fn after_block_comment(source: &[u8]) -> &[u8] {
    let mut rest = source;
    let mut depth = 0_usize;
    while let [first, tail @ ..] = rest {
        match (first, tail.first()) {
            (b'/', Some(b'*')) => depth = depth.saturating_add(1),
            (b'*', Some(b'/')) => depth = depth.saturating_sub(1),
            _ => {
                rest = tail;
                continue;
            }
        }
        rest = tail.get(1..).unwrap_or_default();
        if depth == 0 {
            break;
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_SHADER_BYTES: usize = 256 << 10;

    fn check(source: &str) -> Result<(), String> {
        check_source(source, renderer_protocol::limits::SHADER_BYTES)
    }

    #[test]
    fn nesting_counts_blocks_and_chains_of_else_if() {
        assert_eq!(shape(b"fn f() { if a { b(); } if c { d(); } }").nesting, 2);
        assert_eq!(shape(b"fn f() { if a {} else if b {} else if c {} else {} x(); if d {} }").nesting, 5);
        assert_eq!(shape(b"fn f() { /* { /* { */ { */ } // {{{\n struct S { a: u32 }").nesting, 1);
    }

    #[test]
    fn an_endless_chain_of_else_if_is_refused_and_a_usual_one_is_not() {
        let shader =
            |arms: usize| format!("fn f(x: u32) {{ if x == 0 {{ }} {} }}", "else if x == 1 { }".repeat(arms));
        assert!(check(&shader(500)).is_ok());
        assert!(check(&shader(1620)).is_err());
    }

    #[test]
    fn a_function_is_as_long_as_what_it_says() {
        assert_eq!(
            shape(b"const a = 1; fn f() { /* not this */ b = 1 + c; } fn g() { d(); }").longest_body,
            6
        );
        let shader = |terms: usize| format!("fn f() {{ x = {}x; }}", "x+".repeat(terms));
        assert!(check(&shader(MAX_FUNCTION_BYTES / 2 - 10)).is_ok());
        assert!(check(&shader(MAX_FUNCTION_BYTES / 2)).is_err());
        assert!(check(&shader(20_000).repeat(6)).is_ok());
    }

    #[test]
    fn a_source_beyond_the_cap_is_refused() {
        assert!(check(&" ".repeat(MAX_SHADER_BYTES)).is_ok());
        assert!(check(&" ".repeat(MAX_SHADER_BYTES + 1)).is_err());
    }

    #[test]
    fn a_panic_at_one_job_leaves_the_next_one_working() {
        let compiler = ShaderCompiler::start().unwrap();
        assert_eq!(compiler.run(|| -> u32 { panic!("a test's panic") }), Err(CompileError));
        assert_eq!(compiler.run(|| 7), Ok(7));
    }

    /// Holds the thread until it is told to go on.
    fn held(compiler: &ShaderCompiler) -> mpsc::Sender<()> {
        let (go_on, waits) = mpsc::channel::<()>();
        let (began, has_begun) = mpsc::channel();
        let _held = compiler
            .start_work(0, move || {
                began.send(()).unwrap();
                let _ = waits.recv();
            })
            .unwrap();
        has_begun.recv().unwrap();
        go_on
    }

    #[tokio::test]
    async fn asking_for_work_returns_at_once_however_much_waits() {
        let compiler = ShaderCompiler::start().unwrap();
        let go_on = held(&compiler);
        // If one of these waited for room, it would wait for ever.
        let works: Vec<_> =
            (0..10_000).map(|number| compiler.start_work(0, move || number).unwrap()).collect();
        drop(go_on);
        for (number, work) in works.into_iter().enumerate() {
            assert_eq!(work.await, Ok(number));
        }
    }

    #[test]
    fn work_that_a_thread_stands_still_for_goes_before_work_that_may_wait() {
        let compiler = ShaderCompiler::start().unwrap();
        let go_on = held(&compiler);
        let (tell, told) = mpsc::channel();
        for _ in 0..10 {
            let tell = tell.clone();
            drop(compiler.start_work(0, move || tell.send("may wait")).unwrap());
        }
        std::thread::scope(|scope| {
            scope.spawn(|| compiler.run(move || tell.send("stands still").unwrap()).unwrap());
            while compiler.queue.jobs().awaited.is_empty() {
                std::thread::yield_now();
            }
            drop(go_on);
        });
        assert_eq!(told.recv(), Ok("stands still"));
    }

    #[tokio::test]
    async fn what_waits_is_bounded_and_there_is_room_again_when_it_is_done() {
        let compiler = ShaderCompiler::start().unwrap();
        let go_on = held(&compiler);
        let half = MAX_WAITING_BYTES / 2;
        let first = compiler.start_work(half, || 1).unwrap();
        assert_eq!(compiler.start_work(half, || 2).err(), Some(QueueFull), "the overhead counts, too");
        assert_eq!(compiler.start_work(usize::MAX, || 2).err(), Some(QueueFull));
        drop(go_on);
        assert_eq!(first.await, Ok(1));
        assert_eq!(compiler.start_work(half, || 3).unwrap().await, Ok(3));
    }

    #[tokio::test]
    async fn a_compiler_that_is_dropped_gives_up_what_waits() {
        let compiler = ShaderCompiler::start().unwrap();
        let go_on = held(&compiler);
        let works: Vec<_> = (0..100).map(|number| compiler.start_work(0, move || number).unwrap()).collect();
        let queue = Arc::clone(&compiler.queue);
        let drops = std::thread::spawn(move || drop(compiler));
        while !queue.jobs().is_closed {
            std::thread::yield_now();
        }
        drop(go_on);
        drops.join().unwrap();
        for work in works {
            assert!(work.await.is_err());
        }
    }
}
