//! Asynchronous work below the synchronous trait, whoever calls it: also from within a runtime, where neither
//! waiting for a runtime nor dropping one is allowed.

use std::fmt;
use std::io;
use std::sync::mpsc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// A runtime with a thread of its own.
pub struct Worker {
    /// There until it is dropped.
    runtime: Option<Runtime>,
}

impl Worker {
    /// Starts the thread, which is called `name`.
    ///
    /// # Errors
    /// Where the system has no thread.
    pub fn new(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Runs `work` and waits for it; `None` where it was not done `within` this time.
    pub fn run<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        self.begin(within, work).recv().ok().flatten()
    }

    /// Runs `work` and says in the channel what came of it, as [`Worker::run`] does.
    pub fn begin<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl Future<Output = T> + Send + 'static,
    ) -> mpsc::Receiver<Option<T>> {
        let (tell, hear) = mpsc::channel();
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move {
                let done = tokio::time::timeout(within, work).await;
                // Nobody waits any more only where the caller gave up.
                let _ = tell.send(done.ok());
            });
        }
        hear
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
