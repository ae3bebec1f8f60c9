import Glibc
import Messages

/// Whether the other end of a TCP connection shows signs of life: its system acknowledges what it is sent, be it the
/// system's own probes alone, though the process hang.
func isAlive(_ descriptor: Int32) -> Bool {
  var information = tcp_info()
  var size = socklen_t(MemoryLayout<tcp_info>.size)
  guard getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &information, &size) == 0 else { return false }
  let silence = min(information.tcpi_last_ack_recv, information.tcpi_last_data_recv)
  return Int(silence) < WireLimits.heard.milliseconds
}
