internal import TauCore

/// When a failed model call is made again.
public struct RetryPolicy: Sendable {
    /// Further tries after the first one (`models.retry.attempts`); 0 for none.
    public var attempts = 3
    /// Milliseconds before the first of them (`models.retry.baseMilliseconds`); twice as many before each further one.
    public var baseMilliseconds = 2000
    /// Milliseconds that a server may ask to wait (`models.retry.maxMilliseconds`); where it asks for more, the call has failed.
    public var maxMilliseconds = 60_000

    public init() {}

    /// Milliseconds before attempt 1, 2, …; nil where it is not worth another one.
    ///
    /// `spread` is a random number from 0 to 1. It makes the wait up to a quarter longer, never shorter than asked for, so that
    /// callers that failed together do not come back together.
    func delay(before attempt: Int, after error: ProviderError, spread: Double) -> Int? {
        guard error.isOutage, attempt <= attempts else { return nil }
        let doubled = Double(baseMilliseconds) * Double(UInt64(1) << UInt64(min(attempt - 1, 20)))
        let asked = (error.retryAfter ?? 0) * 1000
        guard asked <= Double(maxMilliseconds) else { return nil }
        return Int(max(min(doubled, Double(maxMilliseconds)), asked) * (1 + 0.25 * min(max(spread, 0), 1)))
    }
}
