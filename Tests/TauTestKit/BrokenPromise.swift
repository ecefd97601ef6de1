import TauCore

/// A promise of a contract that was not kept.
public struct BrokenPromise: Error, CustomStringConvertible {
    public var description: String
}

/// What every implementation of a port must do, as checks that throw `BrokenPromise`.
protocol Contract {}

extension Contract {
    func expect(_ condition: Bool, _ what: String) throws {
        guard condition else { throw BrokenPromise(description: what) }
    }

    func expect(_ code: StoreError.Code, _ body: () async throws(StoreError) -> Void) async throws {
        do throws(StoreError) {
            try await body()
        } catch {
            // Another owner may be in another server.
            let isMet = error.code == code || (code == .conflict && error.code == .leased)
            return try expect(isMet, "expected \(code), got \(error.code): \(error)")
        }
        throw BrokenPromise(description: "expected \(code), but it worked")
    }
}
