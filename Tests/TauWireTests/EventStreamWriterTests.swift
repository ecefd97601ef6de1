import TauWire
import Testing

struct EventStreamWriterTests {
    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func `an event has its id, its type and its data`() {
        let bytes = EventStreamWriter.event(id: "12", type: "message_update", data: Array("{}".utf8))
        #expect(text(bytes) == "id: 12\nevent: message_update\ndata: {}\n\n")
        #expect(text(EventStreamWriter.event(id: nil, type: nil, data: [])) == "data: \n\n")
    }

    @Test(arguments: ["\n", "\r", "\r\n"])
    func `line ends in the data cannot end the event or begin another field`(_ end: String) throws {
        let data = "a\(end)\(end)event: evil\(end)data: x"
        let bytes = EventStreamWriter.event(id: "1", type: "good", data: Array(data.utf8))
        #expect(text(bytes) == "id: 1\nevent: good\ndata: a\ndata: \ndata: event: evil\ndata: data: x\n\n")
        #expect(try events(of: bytes).map(\.type) == ["good"])
    }

    @Test func `line ends in the id and the type cut them off`() throws {
        let bytes = EventStreamWriter.event(id: "1\ndata: x", type: "a\rdata: y", data: Array("z".utf8))
        #expect(try events(of: bytes) == [ServerSentEvent(type: "a", data: Array("z".utf8), id: "1")])
    }

    @Test func `a comment is no event`() throws {
        let bytes = EventStreamWriter.comment("ping\ndata: x")
        #expect(text(bytes) == ": ping\n\n")
        #expect(try events(of: bytes).isEmpty)
    }
}
