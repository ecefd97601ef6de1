internal import TauCore
internal import TauRuntime

extension EdgeConfiguration {
    var auditing: Auditing { Auditing(log: audit, now: now) }
}

/// Writes what a request has decided into the audit log.
struct Auditing: Sendable {
    let log: (any AuditLog)?
    let now: @Sendable () -> Timestamp

    /// Throws where it cannot be written; to be called before what it tells of is done.
    func write(
        _ action: String, _ target: String, _ context: EdgeContext, outcome: String = "done",
        _ details: [(name: String, value: String)] = []
    ) async throws(Problem) {
        guard let log else { return }
        var event = AuditEvent(action: action, target: target, outcome: outcome, time: now())
        event.owner = context.principal?.owner
        event.keyID = context.principal?.keyID
        event.address = context.peer
        event.requestID = context.requestID
        event.details = details
        do throws(StoreError) {
            try await log.write(event)
        } catch {
            throw Problem(RuntimeError(error))
        }
    }
}
