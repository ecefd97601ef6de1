internal import Synchronization
internal import TauCore

/// What stands between all runs and one provider: a bound on its calls with a fair queue, and a circuit breaker.
final class ModelGate: Sendable {
    let queue: FairQueue<Owner>
    private let breaker: Mutex<CircuitBreaker>

    init(places: Int, limits: RuntimeLimits) {
        queue = FairQueue(places: places, maxWaiting: limits.maxActiveRuns, group: \.tenantID)
        breaker = Mutex(CircuitBreaker(settings: limits.circuit))
    }

    func isPassable(at now: Timestamp) -> Bool { breaker.withLock { $0.isPassable(at: now) } }

    fileprivate func admit(_ provider: String, at now: Timestamp) throws(ProviderError) {
        guard case .refused(let seconds) = breaker.withLock({ $0.admit(at: now) }) else { return }
        throw ProviderError(
            .overloaded, "\(provider) has failed several times in a row and is left alone for a moment.",
            retryAfter: seconds)
    }

    fileprivate func report(_ result: CircuitBreaker.Result, at now: Timestamp) {
        breaker.withLock { $0.report(result, at: now) }
    }
}

/// The gates of all providers, each made with the first call.
final class ModelGates: Sendable {
    private let limits: RuntimeLimits
    private let now: @Sendable () -> Timestamp
    private let gates = Mutex<[String: ModelGate]>([:])

    init(limits: RuntimeLimits, now: @escaping @Sendable () -> Timestamp) {
        self.limits = limits
        self.now = now
    }

    private func gate(of provider: any ModelProvider) -> ModelGate {
        gates.withLock { gates in
            if let gate = gates[provider.name] { return gate }
            let gate = ModelGate(places: provider.maxConcurrentCalls ?? limits.maxModelCalls, limits: limits)
            gates[provider.name] = gate
            return gate
        }
    }

    /// Calls that wait for a place, of all providers.
    var waitingCount: Int { gates.withLock { $0.values.reduce(0) { $0 + $1.queue.waitingCount } } }

    /// Whether the provider's circuit lets calls through.
    func isPassable(_ provider: any ModelProvider) -> Bool { gate(of: provider).isPassable(at: now()) }

    /// Whether a call would be made at once.
    func isFree(_ provider: any ModelProvider) -> Bool {
        let gate = gate(of: provider)
        return gate.queue.hasFreePlace && gate.isPassable(at: now())
    }

    /// The provider behind its gate, for the calls of one owner.
    func guarded(_ provider: any ModelProvider, for owner: Owner) -> any ModelProvider {
        GuardedProvider(inner: provider, gate: gate(of: provider), owner: owner, now: now)
    }
}

private struct GuardedProvider: ModelProvider {
    let inner: any ModelProvider
    let gate: ModelGate
    let owner: Owner
    let now: @Sendable () -> Timestamp

    var name: String { inner.name }

    func stream(
        _ request: ModelRequest, to sink: (ModelEvent) -> Void
    ) async throws(ProviderError) -> ModelReply {
        func refusal(_ reason: FairQueue<Owner>.Refusal) -> ProviderError {
            switch reason {
            case .cancelled: ProviderError(.cancelled, "The model call was cancelled.")
            case .full: ProviderError(.overloaded, "Too many calls wait for \(name).")
            }
        }
        return try await gate.queue.withPlace(for: owner, refused: refusal) { () throws(ProviderError) in
            try gate.admit(name, at: now())
            do throws(ProviderError) {
                let reply = try await inner.stream(request, to: sink)
                gate.report(.answered, at: now())
                return reply
            } catch {
                gate.report(.init(error), at: now())
                throw error
            }
        }
    }
}

extension CircuitBreaker.Result {
    /// Too many requests are no outage: the provider is there, and says when to come again.
    fileprivate init(_ error: ProviderError) {
        switch error.code {
        case .cancelled, .budgetExceeded, .ledgerUnavailable: self = .unknown
        case .rateLimited: self = .answered
        case _ where error.isOutage: self = .failed
        default: self = .answered
        }
    }
}
