import TauCore
import TauTestKit
import Testing

@Suite struct TraceIdentityTests {
    private static let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    @Test func `a traceparent is read and written as it is`() throws {
        let identity = try #require(TraceIdentity(traceparent: Self.text))
        #expect(identity.isSampled && identity.traceText == "4bf92f3577b34da6a3ce929d0e0e4736")
        #expect(identity.spanText == "00f067aa0ba902b7" && identity.traceparent == Self.text)
        // Of a later version, which may know more.
        #expect(TraceIdentity(traceparent: "cc" + Self.text.dropFirst(2) + "-what-the-future-will-be") != nil)
        #expect(TraceIdentity(traceparent: Self.text.dropLast(2) + "02")?.isSampled == false)
    }

    @Test(arguments: [
        "", "00", text + "-x", text + "0", "ff" + text.dropFirst(2), text.uppercased(), "00_" + text.dropFirst(3),
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", text.replacing("f9", with: "é"),
    ])
    func `what is none is not taken for one`(_ text: String) {
        #expect(TraceIdentity(traceparent: text) == nil)
    }

    @Test func `any bytes are read without harm, and what is read is written the same`() {
        var random = SeededGenerator(seed: 6)
        for _ in 0..<20_000 {
            var bytes = Array(Self.text.utf8)
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...127, using: &random)
            }
            let text = String(decoding: bytes, as: UTF8.self)
            guard let identity = TraceIdentity(traceparent: text), text.hasPrefix("00") else { continue }
            #expect(identity.traceparent.dropLast(2) == text.dropLast(2))
        }
    }
}
