//! The CEL engine, and a thread for it: its parser is recursive and wants a large stack, and a
//! fault in it must not be one of ours.

use std::sync::Arc;

use cel::extractors::This;
use cel::{Context, Env, ExecutionError, Value, extensions};

/// Enough for the longest expression that is taken, in a debug build.
const STACK: usize = 256 << 20;

/// What expressions are read and evaluated with.
pub(super) struct Engine {
    env: Arc<Env>,
}

impl Engine {
    pub(super) fn new() -> Self {
        let mut env = Env::stdlib().with_optional_support(false);
        // They fail only when a name is there already.
        let added = [extensions::strings, extensions::lists, extensions::math]
            .map(|extension| env.add_extension(extension));
        debug_assert!(added.iter().all(Result::is_ok), "{added:?}");
        Self { env: Arc::new(env) }
    }

    pub(super) fn env(&self) -> &Env {
        &self.env
    }

    /// Without variables.
    pub(super) fn context(&self) -> Context<'static, 'static> {
        let mut context = Context::with_env(Arc::clone(&self.env));
        let added = context.add_function("sum", sum);
        debug_assert!(added.is_ok(), "{added:?}");
        context
    }
}

/// `sum(list)`: of whole numbers.
fn sum(This(list): This<Value>) -> Result<Value, ExecutionError> {
    let Value::List(items) = &list else {
        return Err(ExecutionError::function_error("sum", "it adds up a list"));
    };
    let mut total: i64 = 0;
    for item in items.iter() {
        let Value::Int(number) = item else {
            return Err(ExecutionError::function_error("sum", "not all items are whole numbers"));
        };
        let next = total.checked_add(*number);
        total = next.ok_or_else(|| ExecutionError::function_error("sum", "it is too large"))?;
    }
    Ok(Value::Int(total))
}

/// Runs `work` on a stack of its own.
///
/// # Errors
/// When the thread cannot be had, or the engine panics.
pub(super) fn apart<R: Send>(work: impl FnOnce() -> R + Send) -> Result<R, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("rules".to_owned()).stack_size(STACK);
        let handle = thread.spawn_scoped(scope, work).map_err(|error| error.to_string())?;
        handle.join().map_err(|_| "the engine of expressions failed".to_owned())
    })
}
