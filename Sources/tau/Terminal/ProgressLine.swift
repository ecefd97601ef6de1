internal import Synchronization
internal import TauSystem

/// How far long work is, on one line of a terminal that writes over itself. In a pipe it says nothing.
final class ProgressLine: Sendable {
    private let noun: String
    private let lastShown = Mutex(0)
    private static let intervalMilliseconds = 100

    init(_ noun: String) { self.noun = noun }

    /// `count` is how many there are, where that is known.
    func show(_ done: Int, of count: Int? = nil) {
        guard Terminal.errorsAreTerminal else { return }
        let now = monotonicMilliseconds()
        let isDue = lastShown.withLock { last in
            guard now - last >= Self.intervalMilliseconds || done == count else { return false }
            last = now
            return true
        }
        if isDue { Terminal.noteWithoutEnd("\r\(done)\(count.map { " of \($0)" } ?? "") \(noun)") }
    }

    /// Takes the line away.
    func end() {
        if Terminal.errorsAreTerminal { Terminal.noteWithoutEnd("\r\u{1B}[K") }
    }
}
