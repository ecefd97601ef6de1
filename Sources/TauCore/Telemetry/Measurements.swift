/// Everything that Tau measures.
///
/// No label value comes from outside: where a caller names a tool, model or route that there is not, it counts as `other`.
public enum Measurements {
    /// The value of a label whose own value nobody configured.
    public static let other = "other"

    // MARK: Tools

    public static let toolCalls = CounterMeasurement(
        "tool_calls_total", "Tool calls by how they ended.", labels: "tool_name", "status")
    public static let toolDuration = HistogramMeasurement(
        "tool_execution_duration_seconds", "Time that tools worked.", bounds: [0.01, 0.05, 0.1, 0.5, 1, 5],
        labels: "tool_name")
    public static let sandboxSpawns = CounterMeasurement(
        "tau_sandbox_spawns_total", "Commands that were started in a sandbox.")

    // MARK: HTTP

    public static let requests = CounterMeasurement(
        "tau_http_requests_total", "Requests by route and status.", labels: "method", "route", "status")
    public static let requestDuration = HistogramMeasurement(
        "tau_http_request_duration_seconds", "Time to the head of the answer.",
        bounds: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30], labels: "method", "route")
    public static let openStreams = GaugeMeasurement("tau_http_streams", "Event streams that are open.")
    public static let limiterRefusals = CounterMeasurement(
        "tau_limiter_refusals_total", "Requests that were refused because of a rate limit.", labels: "class")

    // MARK: Runs

    public static let runs = CounterMeasurement(
        "tau_runs_total", "Runs that have ended, by their last status.", labels: "status")
    public static let activeRuns = GaugeMeasurement("tau_runs_active", "Runs that are at work or wait.")
    public static let turnDuration = HistogramMeasurement(
        "tau_turn_duration_seconds", "Time of a turn: a model call and the tools it asked for.",
        bounds: [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300])
    public static let openSessions = GaugeMeasurement("tau_sessions_open", "Sessions that are held in memory.")

    // MARK: Models

    public static let firstToken = HistogramMeasurement(
        "tau_model_first_token_seconds", "Time from a model call to the first piece of its answer.",
        bounds: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30], labels: "model")
    public static let modelCalls = CounterMeasurement(
        "tau_model_calls_total", "Model calls by how they ended.", labels: "model", "status")
    public static let modelDuration = HistogramMeasurement(
        "tau_model_call_duration_seconds", "Time of a model call.", bounds: [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
        labels: "model")
    public static let modelRetries = CounterMeasurement(
        "tau_model_retries_total", "Model calls that were made again after a failure.", labels: "model")
    public static let modelTokens = CounterMeasurement(
        "tau_model_tokens_total", "Tokens by kind: input, output, cache_read, cache_write.", labels: "model", "kind")
    public static let modelCost = CounterMeasurement(
        "tau_model_cost_dollars_total", "What model calls cost, where the price is known.", labels: "model")
    public static let waitingCalls = GaugeMeasurement(
        "tau_model_calls_waiting", "Model calls that wait because as many as allowed are being made.")
    public static let budgetHolds = CounterMeasurement(
        "tau_budget_holds_total", "Wishes for a hold on budgets, by outcome.", labels: "outcome")

    // MARK: Stores

    public static let appends = CounterMeasurement("tau_store_appends_total", "Appends to sessions.", labels: "status")
    public static let appendDuration = HistogramMeasurement(
        "tau_store_append_duration_seconds", "Time until an append is durable.",
        bounds: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5])
    public static let batchSize = HistogramMeasurement(
        "tau_store_batch_appends", "Appends that became durable in one flush or transaction.",
        bounds: [1, 2, 4, 8, 16, 32, 64, 128, 256])
    public static let flushDuration = HistogramMeasurement(
        "tau_store_flush_duration_seconds", "Time of one flush or transaction.",
        bounds: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5])
    public static let connections = GaugeMeasurement(
        "tau_postgres_connections", "Connections to the database: busy, idle, and callers that wait for one.",
        labels: "state")
    public static let replicaLag = GaugeMeasurement(
        "tau_postgres_replica_lag_bytes", "What the replica had yet to replay of the log when it was last looked at.")
    public static let replicaReads = CounterMeasurement(
        "tau_postgres_replica_reads_total", "Questions that were meant for the replica: answered, late or failed.",
        labels: "outcome")
    public static let contextReads = CounterMeasurement(
        "tau_context_cache_reads_total", "Contexts that were looked for in the cache, by outcome.", labels: "outcome")
    public static let archivedSessions = CounterMeasurement(
        "tau_archive_sessions_total", "Sessions that were moved to the archive or back.", labels: "direction")

    // MARK: The server itself

    public static let droppedRecords = CounterMeasurement(
        "tau_telemetry_dropped_total", "Log lines and spans that found no room in their queue.", labels: "signal")
    public static let build = GaugeMeasurement("tau_build_info", "The version that runs; always 1.", labels: "version")

    /// All of them.
    public static let all: [Measurement] =
        [
            toolCalls, sandboxSpawns, requests, limiterRefusals, runs, modelCalls, modelRetries, modelTokens, modelCost,
            budgetHolds, appends, replicaReads, contextReads, archivedSessions, droppedRecords,
        ].map(\.measurement)
        + [openStreams, activeRuns, openSessions, waitingCalls, connections, replicaLag, build].map(\.measurement)
        + [
            toolDuration, requestDuration, turnDuration, firstToken, modelDuration, appendDuration, batchSize,
            flushDuration,
        ].map(\.measurement)
}
