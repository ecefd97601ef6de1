internal import CTauSystem

/// Threads of their own for work that must stay on one thread from its beginning to its end.
package enum SystemThread {
    /// Starts a thread that ends with `body`.
    package static func start(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        let work = Unmanaged.passRetained(Work(body))
        let code = tau_start_thread(
            { context in
                if let context { Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body() }
                return nil
            }, work.toOpaque(), 1 << 20)
        guard code == 0 else {
            work.release()
            throw SystemError(call: "pthread_create", code: code)
        }
    }

    private final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
}
