import Glibc
import Numerics

/// What a wait with an end came to.
public enum TimedElement<Element: Sendable>: Sendable {
  case element(Element)
  /// None came in time.
  case nothing
  /// The queue is closed and empty.
  case closed
}

/// A queue of at most `capacity` elements between threads: who adds waits for room, who takes waits for an element.
///
/// `@unchecked Sendable`: everything that changes is read and written under `mutex`.
public final class BoundedQueue<Element: Sendable>: @unchecked Sendable {
  /// At least 1.
  public let capacity: Int
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  /// Signalled whenever elements or `isClosed` change.
  private let changed: UnsafeMutablePointer<pthread_cond_t>
  private var elements: [Element] = []
  private var isClosed = false

  public init(capacity: Int) {
    invariant(capacity >= 1, "a queue for \(capacity) elements")
    self.capacity = capacity
    mutex = .allocate(capacity: 1)
    changed = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    // Waits with an end go by the clock that nobody sets.
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(changed, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  private func locked<Value>(_ body: () -> Value) -> Value {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }

  /// Waits for room. Returns false, and drops the element, once the queue is closed.
  @discardableResult
  public func append(_ element: Element) -> Bool {
    locked {
      while elements.count >= capacity, !isClosed { pthread_cond_wait(changed, mutex) }
      return add(element)
    }
  }

  /// Without waiting. Returns false, and drops the element, when the queue is full or closed.
  public func tryAppend(_ element: Element) -> Bool { locked { elements.count < capacity && add(element) } }

  private func add(_ element: Element) -> Bool {
    guard !isClosed else { return false }
    elements.append(element)
    pthread_cond_broadcast(changed)
    return true
  }

  /// Waits for an element. Returns nil once the queue is closed and empty.
  public func next() -> Element? {
    locked {
      while elements.isEmpty, !isClosed { pthread_cond_wait(changed, mutex) }
      return take()
    }
  }

  /// Waits for an element, but no longer than `patience`.
  public func next(within patience: Duration) -> TimedElement<Element> {
    var end = timespec()
    clock_gettime(CLOCK_MONOTONIC, &end)
    let (seconds, attoseconds) = max(.zero, patience).components
    end.tv_sec += Int(min(seconds, 1 << 32))
    end.tv_nsec += Int(attoseconds / 1_000_000_000)
    if end.tv_nsec >= 1_000_000_000 { (end.tv_sec, end.tv_nsec) = (end.tv_sec + 1, end.tv_nsec - 1_000_000_000) }
    return locked {
      while elements.isEmpty, !isClosed {
        if pthread_cond_timedwait(changed, mutex, &end) == ETIMEDOUT { break }
      }
      if let element = take() { return .element(element) }
      return isClosed ? .closed : .nothing
    }
  }

  /// Without waiting. Returns nil when there is none.
  public func tryNext() -> Element? { locked { take() } }

  // Removing the first element moves the rest: capacities are some hundreds at most.
  private func take() -> Element? {
    guard !elements.isEmpty else { return nil }
    pthread_cond_broadcast(changed)
    return elements.removeFirst()
  }

  /// Drops what is there.
  public func removeAll() {
    locked {
      elements.removeAll()
      pthread_cond_broadcast(changed)
    }
  }

  /// Nothing is added any more; what is there can still be taken, and waiting threads wake.
  public func close() {
    locked {
      isClosed = true
      pthread_cond_broadcast(changed)
    }
  }
}
