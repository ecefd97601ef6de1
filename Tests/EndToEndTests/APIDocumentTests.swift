import Foundation
import TauTestKit
import Testing

/// The server against its own OpenAPI document, as schemathesis reads it: thousands of requests, most of them wrong.
///
/// `scripts/test-tools.sh` prepares it from PyPI; `scripts/test.sh` tells where in TAU_TEST_TOOLS_DIR.
@Suite(
    .ownThreads, .timeLimit(.minutes(5)),
    .enabled(
        if: TestTools.directory != nil, "schemathesis is not installed: run the tests with `make test`"))
struct APIDocumentTests {
    @Test func `no request gets an answer that the document does not name, and none a 5xx`() throws {
        let server = try TauProcess()
        let directory = try #require(TestTools.directory)
        let result = try TestTools.run(
            directory + "/venv/bin/schemathesis",
            [
                "run", server.url + "/openapi.json", "-H", "Authorization: Bearer \(server.key)", "--checks",
                "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
                "--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--seed", "6283", "--request-timeout",
                "20", "--no-color",
                // It cannot write session files.
                "--exclude-path", "/api/agent/v1/sessions/import",
            ], in: server.directory.path)
        #expect(result.code == 0, "\(result.output.suffix(6000))")
        #expect(result.output.contains("Coverage") && result.output.contains("Fuzzing"), "\(result.output)")
        server.stop()
        #expect(!server.log.contains("request failed"))
    }
}
