internal import CMessages
internal import CProtobufC
import Packing

/// What a run says at one of its steps, as TensorBoard has it.
public struct StepEvent: Sendable {
  public enum Content: Sendable {
    /// Readers forget what earlier records say of the event's step and of later ones.
    case start
    case scalars([(tag: String, value: Float)])
    case histograms([(tag: String, histogram: Histogram)])
    case pictures([(tag: String, picture: EventPicture)])
  }

  /// Seconds since 1970.
  public var wallTime: Double
  public var step: Int
  public var content: Content

  public init(wallTime: Double, step: Int, _ content: Content) {
    self.wallTime = wallTime
    self.step = step
    self.content = content
  }
}

/// A picture of an event: a JPEG file of three channels, and its size in pixels.
public struct EventPicture: Sendable {
  public var width: Int
  public var height: Int
  public var jpeg: [UInt8]

  public init(width: Int, height: Int, jpeg: [UInt8]) {
    self.width = width
    self.height = height
    self.jpeg = jpeg
  }
}

// MARK: - As records

extension StepEvent {
  /// The record that an event file has of it.
  public func record() -> [UInt8] {
    Self.record(wallTime: wallTime, step: step) { memory, event in
      guard case .start = content else {
        let summary = memory.make(Tensorflow__Summary.self, tensorflow__summary__init)
        let values = memory.values(of: content)
        summary.pointee.n_value = values.count
        summary.pointee.value = memory.array(values)
        event.pointee.what_case = TENSORFLOW__EVENT__WHAT_SUMMARY
        event.pointee.summary = summary
        return
      }
      let session = memory.make(Tensorflow__SessionLog.self, tensorflow__session_log__init)
      session.pointee.status = TENSORFLOW__SESSION_LOG__SESSION_STATUS__START
      event.pointee.what_case = TENSORFLOW__EVENT__WHAT_SESSION_LOG
      event.pointee.session_log = session
    }
  }

  /// What a file begins with: readers then go by `start`, and not by steps that come again.
  static func versionRecord(wallTime: Double) -> [UInt8] {
    record(wallTime: wallTime, step: 0) { memory, event in
      event.pointee.what_case = TENSORFLOW__EVENT__WHAT_FILE_VERSION
      event.pointee.file_version = memory.text("brain.Event:2".utf8)
    }
  }

  private static func record(
    wallTime: Double, step: Int, _ fill: (MessageMemory, UnsafeMutablePointer<Tensorflow__Event>) -> Void
  ) -> [UInt8] {
    let memory = MessageMemory()
    return withExtendedLifetime(memory) {
      let event = memory.make(Tensorflow__Event.self, tensorflow__event__init)
      event.pointee.wall_time = wallTime
      event.pointee.step = Int64(step)
      fill(memory, event)
      let size = tensorflow__event__get_packed_size(event)
      return EventRecord.framed(count: size) { tensorflow__event__pack(event, $0) }
    }
  }
}

extension MessageMemory {
  fileprivate func values(of content: StepEvent.Content) -> [UnsafeMutablePointer<Tensorflow__Summary__Value>?] {
    switch content {
    case .start: []
    case .scalars(let scalars):
      scalars.map { tag, number in
        value(tag) {
          $0.value_case = TENSORFLOW__SUMMARY__VALUE__VALUE_SIMPLE_VALUE
          $0.simple_value = number
        }
      }
    case .histograms(let histograms):
      histograms.map { tag, histogram in
        value(tag) {
          $0.value_case = TENSORFLOW__SUMMARY__VALUE__VALUE_HISTO
          $0.histo = write(histogram)
        }
      }
    case .pictures(let pictures):
      pictures.map { tag, picture in
        value(tag) {
          $0.value_case = TENSORFLOW__SUMMARY__VALUE__VALUE_IMAGE
          $0.image = write(picture)
        }
      }
    }
  }

  private func value(
    _ tag: String, _ fill: (inout Tensorflow__Summary__Value) -> Void
  ) -> UnsafeMutablePointer<Tensorflow__Summary__Value>? {
    let value = make(Tensorflow__Summary__Value.self, tensorflow__summary__value__init)
    value.pointee.tag = text(tag.utf8)
    fill(&value.pointee)
    return value
  }

  private func write(_ histogram: Histogram) -> UnsafeMutablePointer<Tensorflow__HistogramProto> {
    let c = make(Tensorflow__HistogramProto.self, tensorflow__histogram_proto__init)
    (c.pointee.min, c.pointee.max) = (histogram.least, histogram.largest)
    (c.pointee.num, c.pointee.sum) = (Double(histogram.count), histogram.sum)
    c.pointee.sum_squares = histogram.sumOfSquares
    (c.pointee.n_bucket_limit, c.pointee.bucket_limit) = (histogram.limits.count, array(histogram.limits))
    (c.pointee.n_bucket, c.pointee.bucket) = (histogram.counts.count, array(histogram.counts.map { Double($0) }))
    return c
  }

  private func write(_ picture: EventPicture) -> UnsafeMutablePointer<Tensorflow__Summary__Image> {
    let c = make(Tensorflow__Summary__Image.self, tensorflow__summary__image__init)
    (c.pointee.width, c.pointee.height) = (Int32(picture.width), Int32(picture.height))
    c.pointee.colorspace = 3
    c.pointee.encoded_image_string = ProtobufCBinaryData(len: picture.jpeg.count, data: array(picture.jpeg))
    return c
  }
}
