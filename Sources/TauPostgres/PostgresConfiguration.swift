/// How servers are reached and used.
package struct PostgresConfiguration: Sendable {
    /// As libpq takes it: `postgres://user:password@host1,host2/database?target_session_attrs=read-write`, with TLS and the
    /// rest of its options.
    package var url: String
    /// Milliseconds for one attempt to connect, over all hosts of the URL.
    package var connectTimeoutMilliseconds = 2000
    /// Milliseconds that a query may take; the connection is given up if even cancelling it does not help.
    package var queryTimeoutMilliseconds = 60_000
    /// Whether statements are prepared once for each connection. Proxies that hand connections around between
    /// transactions do not all follow; where one does not, it is noticed.
    package var preparesStatements = true
    /// Statements that a connection keeps prepared.
    package var maxPreparedStatements = 256
    /// How the server's lists of activities call this program.
    package var applicationName = "tau"

    package init(url: String) { self.url = url }
}
