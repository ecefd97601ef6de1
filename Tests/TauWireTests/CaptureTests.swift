import TauTestKit
import TauWire
import Testing

/// Answers of a real model server, which lie beside the package.
struct CaptureTests {
    @Test(arguments: Capture.names)
    func `a captured stream gives the same events however it is cut`(_ name: String) throws {
        let bytes = try Capture(name).body
        let whole = try events(of: bytes)
        #expect(try events(of: bytes, chunkSizes: [1]) == whole)
        var generator = SeededGenerator(seed: UInt64(bytes.count))
        for _ in 0..<5 {
            let sizes = (0..<bytes.count).map { _ in Int.random(in: 1...700, using: &generator) }
            #expect(try events(of: bytes, chunkSizes: sizes) == whole)
        }
    }

    @Test func `the events of a captured stream are those that were sent`() throws {
        // Without data the test above would have nothing to do, and pass.
        #expect(Capture.names.contains("messages-text-stream"))
        let types = try events(of: Capture("messages-text-stream").body).map(\.type)
        #expect(types.first == "message_start")
        #expect(types.suffix(3) == ["content_block_stop", "message_delta", "message_stop"])
    }
}
