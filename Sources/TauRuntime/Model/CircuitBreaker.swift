internal import TauCore

/// When a provider is left alone, and for how long.
public struct CircuitSettings: Sendable {
    /// Failures in a row (`models.circuit.failures`).
    public var failures = 5
    /// Seconds without a call (`models.circuit.openSeconds`).
    public var openSeconds = 30

    public init() {}
}

/// Whether a provider is asked at all: after several failures in a row it is left alone for a while, then one call tries
/// whether it is back. Pure: times come from outside.
struct CircuitBreaker: Sendable {
    private enum State {
        case closed(failures: Int)
        case open(until: Timestamp)
        /// One call is on its way.
        case trying
    }

    let settings: CircuitSettings
    private var state = State.closed(failures: 0)

    init(settings: CircuitSettings) { self.settings = settings }

    enum Admission: Equatable {
        case admitted
        /// Seconds until it is worth asking again.
        case refused(seconds: Double)
    }

    /// Asks for one call; what becomes of it must be reported.
    mutating func admit(at now: Timestamp) -> Admission {
        switch state {
        case .closed: return .admitted
        case .open(let until) where now < until:
            return .refused(seconds: Double(until.milliseconds - now.milliseconds) / 1000)
        case .open:
            state = .trying
            return .admitted
        case .trying: return .refused(seconds: 1)
        }
    }

    /// Whether a call would be admitted now.
    func isPassable(at now: Timestamp) -> Bool {
        switch state {
        case .closed: true
        case .open(let until): now >= until
        case .trying: false
        }
    }

    enum Result {
        /// The provider answered, be it with a refusal.
        case answered
        case failed
        /// Nobody knows: the caller gave up.
        case unknown
    }

    mutating func report(_ result: Result, at now: Timestamp) {
        switch (result, state) {
        case (.answered, _): state = .closed(failures: 0)
        case (.failed, .closed(let failures)) where failures + 1 < settings.failures:
            state = .closed(failures: failures + 1)
        case (.failed, .closed), (.failed, .trying):
            state = .open(until: Timestamp(milliseconds: now.milliseconds + Int64(settings.openSeconds) * 1000))
        // The next caller tries.
        case (.unknown, .trying): state = .open(until: now)
        // Late news of calls that began before it opened.
        case (.failed, .open), (.unknown, .closed), (.unknown, .open): break
        }
    }
}
