internal import TauCore

/// The open sessions of this process: each opened once, by the first who needs it, and closed when it has been idle
/// and another one needs the place.
actor LiveSessions {
    private enum Slot {
        case opening([CheckedContinuation<Void, Never>])
        case open(LiveSession, users: Int, lastUse: UInt64)
        /// Being closed or deleted; who comes now waits.
        case closing([CheckedContinuation<Void, Never>])
    }

    private let store: any SessionStore
    private let environment: RuntimeEnvironment
    private let limits: RuntimeLimits
    private var slots: [SessionID: Slot] = [:]
    private var useCount: UInt64 = 0
    /// Bytes of each open session's file when it was left last, and of all together.
    private var byteCounts: [SessionID: Int] = [:]
    private var byteCount = 0

    init(store: any SessionStore, environment: RuntimeEnvironment, limits: RuntimeLimits) {
        self.store = store
        self.environment = environment
        self.limits = limits
    }

    /// Sessions that are held in memory.
    var count: Int { slots.count }

    /// Opens the session if it is not open, and keeps it open until `leave`.
    func enter(_ id: SessionID) async throws(StoreError) -> LiveSession {
        while true {
            switch slots[id] {
            case .open(let session, let users, _):
                useCount += 1
                slots[id] = .open(session, users: users + 1, lastUse: useCount)
                return session
            case .opening, .closing: await waitForChange(of: id)
            case nil:
                slots[id] = .opening([])
                do throws(StoreError) {
                    let file = try await store.open(id)
                    return settle(
                        LiveSession(
                            file: file, owner: try await owner(of: id), store: store, environment: environment))
                } catch {
                    wake(slots.removeValue(forKey: id))
                    throw error
                }
            }
        }
    }

    /// The owner of a session that is open in the store, which is closed again if it cannot be told.
    private func owner(of id: SessionID) async throws(StoreError) -> Owner {
        do throws(StoreError) {
            guard let owner = try await store.owner(of: id) else {
                throw StoreError(.notFound, "there is no session \(id)")
            }
            return owner
        } catch {
            await store.close(id)
            throw error
        }
    }

    /// The owner of a session that is open here; nil for any other.
    func knownOwner(of id: SessionID) -> Owner? {
        if case .open(let session, _, _) = slots[id] { session.owner } else { nil }
    }

    /// Makes a session of a checked file and enters it.
    func create(_ file: SessionFile, owner: Owner) async throws(StoreError) -> LiveSession {
        let id = file.header.id
        guard slots[id] == nil else { throw StoreError(.exists, "session \(id) exists already") }
        slots[id] = .opening([])
        do throws(StoreError) {
            try await store.create(file, owner: owner)
            return settle(LiveSession(file: file, owner: owner, store: store, environment: environment))
        } catch {
            wake(slots.removeValue(forKey: id))
            throw error
        }
    }

    private func settle(_ session: LiveSession) -> LiveSession {
        useCount += 1
        wake(slots.updateValue(.open(session, users: 1, lastUse: useCount), forKey: session.id))
        return session
    }

    func leave(_ session: LiveSession) async {
        guard case .open(let open, let users, let lastUse) = slots[session.id], open === session else { return }
        slots[session.id] = .open(session, users: users - 1, lastUse: lastUse)
        count(session.byteCount, for: session.id)
        while slots.count > limits.maxOpenSessions || byteCount > limits.maxOpenBytes, let victim = idlest() {
            await close(victim)
        }
    }

    private func count(_ bytes: Int?, for id: SessionID) {
        byteCount += (bytes ?? 0) - (byteCounts[id] ?? 0)
        byteCounts[id] = bytes
    }

    private func idlest() -> SessionID? {
        var best: (id: SessionID, lastUse: UInt64)?
        for case (let id, .open(_, users: 0, let lastUse)) in slots where lastUse < best?.lastUse ?? .max {
            best = (id, lastUse)
        }
        return best?.id
    }

    private func close(_ id: SessionID) async {
        slots[id] = .closing([])
        count(nil, for: id)
        await store.close(id)
        wake(slots.removeValue(forKey: id))
    }

    /// Closes the session so that the next caller reads it from the store again: after an error in the store.
    func discard(_ session: LiveSession) async {
        guard case .open(let open, _, _) = slots[session.id], open === session else { return }
        await close(session.id)
    }

    func delete(_ id: SessionID) async throws(StoreError) {
        while true {
            switch slots[id] {
            case .opening, .closing: await waitForChange(of: id)
            case .open, nil:
                slots[id] = .closing([])
                count(nil, for: id)
                defer { wake(slots.removeValue(forKey: id)) }
                return try await store.delete(id)
            }
        }
    }

    /// Runs `body` while nobody here has the session open. Throws `leased` where somebody uses it.
    func withClosed(_ id: SessionID, _ body: @Sendable () async throws(StoreError) -> Void) async throws(StoreError) {
        while true {
            switch slots[id] {
            case .opening, .closing: await waitForChange(of: id)
            case .open(_, let users, _):
                guard users == 0 else { throw StoreError(.leased, "session \(id) is in use") }
                await close(id)
            case nil:
                slots[id] = .closing([])
                defer { wake(slots.removeValue(forKey: id)) }
                return try await body()
            }
        }
    }

    func isOpen(_ id: SessionID) -> Bool { if case .open = slots[id] { true } else { false } }

    /// Gives the session's right to write back if nobody uses it.
    func closeIfIdle(_ id: SessionID) async {
        if case .open(_, users: 0, _) = slots[id] { await close(id) }
    }

    /// Closes the session whoever uses it: it is another server's.
    func discard(_ id: SessionID) async {
        if case .open = slots[id] { await close(id) }
    }

    /// Closes everything; for the end of the process.
    func closeAll() async {
        for id in slots.keys { await close(id) }
    }

    private func waitForChange(of id: SessionID) async {
        await withCheckedContinuation { continuation in
            switch slots[id] {
            case .opening(let waiting): slots[id] = .opening(waiting + [continuation])
            case .closing(let waiting): slots[id] = .closing(waiting + [continuation])
            case .open, nil: continuation.resume()
            }
        }
    }

    private func wake(_ slot: Slot?) {
        switch slot {
        case .opening(let waiting), .closing(let waiting): for continuation in waiting { continuation.resume() }
        case .open, nil: break
        }
    }
}
