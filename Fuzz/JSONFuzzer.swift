import TauCore

/// Any bytes are JSON or not; what is JSON is written and read back the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzJSON(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    let parsed = try? JSONValue(parsing: bytes)
    // Both readers find the same, or both find nothing.
    let document = JSONDocument()
    let viewed = bytes.withUnsafeBufferPointer { buffer in try? document.read(buffer) { $0.value } }
    precondition(viewed == parsed, "the two readers agree")
    guard let value = parsed else { return 0 }
    let written = value.serialized
    guard let again = try? JSONValue(parsing: written) else { fatalError("Invariant: what is written can be read") }
    precondition(again == value, "what is read back is the same")
    precondition(again.serialized == written, "what is written twice is the same")
    _ = try? JSONValue(parsing: bytes, limits: .request)
    if let object = value.object {
        if let schema = try? ArgumentSchema(value) { _ = schema.validate(object) }
        _ = Message(json: value)
    }
    return 0
}
