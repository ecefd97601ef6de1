internal import CTauSystem
internal import Glibc

/// A system call that failed.
package struct SystemError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The call, and where it helps what it was about.
    package let call: String
    /// The value of `errno`.
    package let code: Int32

    package init(call: String, code: Int32) {
        self.call = call
        self.code = code
    }

    /// The error of the call that has just failed on this thread.
    package static func last(_ call: String) -> SystemError { SystemError(call: call, code: errno) }

    /// What the code means, such as "No such file or directory".
    package var reason: String { String(cString: tau_error_text(code)) }

    package var description: String { "\(call): \(reason)" }
}

/// Calls again for as long as a signal interrupts.
@inline(__always)
func retryingInterrupts<Value: FixedWidthInteger & SignedInteger>(
    _ call: String, _ body: () -> Value
) throws(SystemError) -> Value {
    while true {
        let result = body()
        if result >= 0 { return result }
        guard errno == EINTR else { throw .last(call) }
    }
}
