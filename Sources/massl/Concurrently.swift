import Foundation
import Synchronization
import Threads

/// Does something for each element at the same time, a thread each.
/// - Returns: the results, in the order of the elements.
func concurrently<Element: Sendable, Result: Sendable>(
  _ elements: [Element], _ body: @escaping @Sendable (Element) -> Result
) -> [Result] {
  let results = SharedResults<Result>()
  let group = DispatchGroup()
  for (index, element) in elements.enumerated() {
    group.enter()
    startThread(named: "massl-host") {
      results.put(body(element), at: index)
      group.leave()
    }
  }
  group.wait()
  return results.inOrder
}

private final class SharedResults<Result: Sendable>: Sendable {
  private let results = Mutex<[Int: Result]>([:])

  func put(_ result: Result, at index: Int) { results.withLock { $0[index] = result } }

  var inOrder: [Result] { results.withLock { results in results.keys.sorted().compactMap { results[$0] } } }
}
