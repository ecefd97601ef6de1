import TauCore
import Testing

@Suite struct TypedToolTests {
    struct Arguments: ToolArguments, Equatable {
        enum Mode: String, Decodable { case fast, slow }
        struct Point: Decodable, Equatable {
            var x: Double
            var y: Double?
        }

        static let schema: JSONValue = ["type": "object"]
        var name: String
        var count: UInt8
        var mode: Mode?
        var points: [Point]
        var raw: JSONValue?
        var grid: [[Int]]?
        var flags: [String: Bool]?
    }

    struct Recorder: TypedTool {
        let definition = ToolDefinition(name: "record", description: "", arguments: Arguments.self)

        func run(_ arguments: Arguments, _ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput {
            ToolOutput(text: "\(arguments.name) \(arguments.count) \(arguments.points.count)")
        }
    }

    @Test func `arguments of every kind are read`() throws {
        let json =
            #"{"name":"n","count":200,"mode":"slow","points":[{"x":1},{"x":2.5,"y":null}],"raw":{"a":[1]},"grid":[[1,2],[]],"flags":{"a":true}}"#
        let arguments: Arguments = try JSONValue(parsing: json).decode()
        #expect(
            arguments
                == Arguments(
                    name: "n", count: 200, mode: .slow, points: [.init(x: 1), .init(x: 2.5)], raw: ["a": [1]],
                    grid: [[1, 2], []], flags: ["a": true]))
        let short: Arguments = try JSONValue(parsing: #"{"name":"","count":3.0,"points":[],"mode":null}"#).decode()
        #expect(short == Arguments(name: "", count: 3, points: []))
    }

    @Test(arguments: [
        (#"{"count":1,"points":[]}"#, "name: is required"),
        (#"{"name":1,"count":1,"points":[]}"#, "name: must be a text"),
        (#"{"name":"","count":300,"points":[]}"#, "count: must be a whole number from 0 to 255"),
        (#"{"name":"","count":1,"points":[{"x":1},{"y":2}]}"#, "points.1.x: is required"),
        (#"{"name":"","count":1,"points":{}}"#, "points: must be an array"),
        (#"{"name":"","count":1,"points":[],"grid":[[1],[2,"x"]]}"#, "grid.1.1: must be a whole number"),
        (#"{"name":"","count":1,"points":[],"mode":"other"}"#, "mode: "),
    ]) func `what the type does not take is told with its place`(json: String, problem: String) async throws {
        let arguments = try #require(try JSONValue(parsing: json).object)
        do {
            _ = try await Recorder().run(ToolInvocation(callID: "c", arguments: arguments))
            Issue.record("it was taken")
        } catch let failure {
            #expect(failure.code == .invalidArguments)
            #expect(failure.message.contains("  - \(problem)"), "\(failure.message)")
            #expect(failure.message.contains("Received arguments:\n\(json)"))
        }
    }

    @Test func `a result that is too long is cut in front of a character`() {
        let output = ToolOutput(content: [.text("ab"), .text("cdüf"), .text("lost")])
        #expect(output.bounded(to: 100) == output)
        let cut = output.bounded(to: 5)
        #expect(cut.content.compactMap(\.text) == ["ab", "cd", "[The result was cut: it may have 5 bytes]"])
        #expect(output.bounded(to: 6).content.compactMap(\.text)[1] == "cdü")
    }
}
