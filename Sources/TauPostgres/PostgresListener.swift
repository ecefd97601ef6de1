internal import TauSystem

/// Hears what is said on channels of a database (LISTEN), on a connection and a thread of its own, and connects again where the
/// connection breaks.
package struct PostgresListener: Sendable {
    package struct Notification: Sendable, Hashable {
        package var channel: String
        package var payload: String
    }

    package enum Event: Sendable {
        /// From now on everything is heard; what was said before may have been missed.
        case listening
        case notification(Notification)
        /// Nothing is heard until the next `listening`.
        case lost(PostgresError)
    }

    package struct Limits: Sendable {
        /// Milliseconds before the first attempt to connect again; twice as many before each further one, up to the bound below.
        package var minBackoffMilliseconds = 50
        package var maxBackoffMilliseconds = 5000
        /// Seconds of silence after which the server is asked whether it is still there.
        package var probeSeconds = 10
        /// Notifications that wait to be taken; beyond, the connection is given up, so that `listening` tells of the gap.
        package var maxWaiting = 10_000

        package init() {}
    }

    private let configuration: PostgresConfiguration
    private let channels: [String]
    private let limits: Limits

    /// `channels` are names of letters, digits and underscores.
    package init(_ configuration: PostgresConfiguration, channels: [String], limits: Limits = Limits()) {
        var configuration = configuration
        // A probe that is not answered soon is not answered.
        configuration.queryTimeoutMilliseconds = min(
            configuration.queryTimeoutMilliseconds, limits.probeSeconds * 1000)
        self.configuration = configuration
        self.channels = channels
        self.limits = limits
    }

    /// Hands each event to `onEvent`, one after the other, until the task is cancelled.
    package func run(onEvent: @Sendable (Event) async -> Void) async {
        var attempt = 0
        while !Task.isCancelled {
            let failure = await listen {
                if case .listening = $0 { attempt = 0 }
                await onEvent($0)
            }
            guard !Task.isCancelled else { return }
            await onEvent(.lost(failure))
            let backoff = min(limits.maxBackoffMilliseconds, limits.minBackoffMilliseconds << min(attempt, 16))
            attempt += 1
            // Servers that lost the same database do not come back at the same moment.
            try? await Task.sleep(for: .milliseconds(Int.random(in: (backoff / 2)...max(1, backoff))))
        }
    }

    /// One connection, from its beginning to its end.
    private func listen(_ onEvent: (Event) async -> Void) async -> PostgresError {
        let (events, continuation) = AsyncThrowingStream.makeStream(
            of: Event.self, bufferingPolicy: .bufferingOldest(limits.maxWaiting))
        let cancellation: EventDescriptor
        do throws(SystemError) {
            cancellation = try EventDescriptor()
            try SystemThread.start { [configuration, channels, limits] in
                let connection = ListeningConnection(
                    configuration: configuration, channels: channels, probeSeconds: limits.probeSeconds,
                    cancellation: cancellation)
                continuation.finish(throwing: connection.listen { continuation.yield($0) })
            }
        } catch {
            return PostgresError(.unavailable, "nothing can be listened to: \(error.reason)")
        }
        // The thread ends with the iteration, however that ends.
        defer { cancellation.signal() }
        return await withTaskCancellationHandler {
            do {
                for try await event in events { await onEvent(event) }
            } catch {
                return (error as? PostgresError) ?? PostgresError(.connectionLost(wasSent: true), "\(error)")
            }
            return PostgresError(.cancelled, "listening was cancelled")
        } onCancel: {
            cancellation.signal()
        }
    }
}

/// A connection that listens, on the thread that waits for it.
private struct ListeningConnection {
    let configuration: PostgresConfiguration
    let channels: [String]
    let probeSeconds: Int
    let cancellation: EventDescriptor

    typealias Sink = (PostgresListener.Event) ->
        AsyncThrowingStream<PostgresListener.Event, any Error>.Continuation
        .YieldResult

    /// Blocks until the connection is lost, or nobody wants it any more.
    func listen(_ sink: Sink) -> PostgresError {
        do throws(PostgresError) {
            var link = try PostgresLink.connect(configuration) { _ in }
            let statements = channels.map { PostgresStatement("LISTEN \($0)") }
            for result in try link.run(statements, isAtomic: false, cancellation) { _ = try result.get() }
            guard case .enqueued = sink(.listening) else { return Self.tooMany }
            while true {
                for notification in try link.notifications() {
                    guard case .enqueued = sink(.notification(notification)) else { return Self.tooMany }
                }
                if try link.waitForNotification(milliseconds: probeSeconds * 1000, cancellation) { continue }
                for result in try link.run([PostgresStatement("SELECT 1")], isAtomic: true, cancellation) {
                    _ = try result.get()
                }
            }
        } catch {
            return error
        }
    }

    private static let tooMany = PostgresError(
        .connectionLost(wasSent: false), "notifications came faster than they were taken")
}
