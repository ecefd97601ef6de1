internal import TauPostgres
struct PostgresListener: Sendable {
    struct Note: Sendable { var channel: String; var payload: String }
    enum Event: Sendable { case listening, missed, lost(PostgresError), notification(Note) }
    init(_ configuration: PostgresConfiguration, channels: [String]) {}
    func run(onEvent: @Sendable (Event) async -> Void) async { try? await Task.sleep(for: .seconds(100_000)) }
}
