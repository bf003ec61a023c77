// Connects to sonotap as a client built on Debian's libopenigtlink, unpacks every message with the library's own CRC check, and
// prints one JSON object: what came, and the newest label map, outline and string. igtl_receiver HOST PORT SECONDS
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <list>
#include <string>

#include <igtlClientSocket.h>
#include <igtlImageMessage.h>
#include <igtlMessageHeader.h>
#include <igtlPolyDataMessage.h>
#include <igtlStatusMessage.h>
#include <igtlStringMessage.h>

static double seconds() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

// The content of a message of that type; null when the library refuses it.
template <class M> static typename M::Pointer body(igtl::ClientSocket* socket, igtl::MessageHeader* header, int& bad) {
    typename M::Pointer message = M::New();
    message->SetMessageHeader(header);
    message->AllocatePack();
    if (socket->Receive(message->GetPackBodyPointer(), message->GetPackBodySize()) != (int)message->GetPackBodySize()) {
        return typename M::Pointer();
    }
    if (!(message->Unpack(1) & igtl::MessageHeader::UNPACK_BODY)) {
        bad++;
        return typename M::Pointer();
    }
    return message;
}

int main(int argc, char** argv) {
    if (argc != 4) {
        return 2;
    }
    igtl::ClientSocket::Pointer socket = igtl::ClientSocket::New();
    for (int i = 0; socket->ConnectToServer(argv[1], atoi(argv[2])) != 0; i++) {
        if (i == 100) {
            return 3;
        }
        timespec pause = {0, 50 * 1000 * 1000};
        nanosleep(&pause, nullptr);
    }
    socket->SetReceiveTimeout(500);
    int images = 0, labelled = 0, outlines = 0, empty = 0, strings = 0, statuses = 0, bad = 0, pixels = 0, points = 0;
    int size[3] = {0, 0, 0};
    float spacing[3] = {0, 0, 0}, length = 0, low[2] = {0, 0}, high[2] = {0, 0};
    bool is_closed = true;
    std::string text, status;
    for (double end = seconds() + atof(argv[3]); seconds() < end;) {
        igtl::MessageHeader::Pointer header = igtl::MessageHeader::New();
        header->InitPack();
        int got = socket->Receive(header->GetPackPointer(), header->GetPackSize());
        if (got == 0) {
            break;
        }
        if (got != (int)header->GetPackSize()) {
            continue;
        }
        header->Unpack();
        std::string type = header->GetDeviceType();
        if (type == "IMAGE") {
            igtl::ImageMessage::Pointer m = body<igtl::ImageMessage>(socket, header, bad);
            if (m.IsNull()) continue;
            images++;
            m->GetDimensions(size);
            m->GetSpacing(spacing);
            igtl::Matrix4x4 matrix;
            m->GetMatrix(matrix);
            // The library leaves the size of a pixel in the matrix's columns.
            for (int k = 0; k < 3; k++) {
                spacing[k] *= std::sqrt(matrix[0][k] * matrix[0][k] + matrix[1][k] * matrix[1][k] + matrix[2][k] * matrix[2][k]);
            }
            const unsigned char* p = (const unsigned char*)m->GetScalarPointer();
            int inside = 0;
            for (int i = 0; i < size[0] * size[1] * size[2]; i++) inside += p[i] != 0;
            if (inside > 0) {
                pixels = inside;
                labelled++;
            }
        } else if (type == "POLYDATA") {
            igtl::PolyDataMessage::Pointer m = body<igtl::PolyDataMessage>(socket, header, bad);
            if (m.IsNull()) continue;
            int n = m->GetPoints() ? m->GetPoints()->GetNumberOfPoints() : 0;
            if (n == 0) {
                empty++;
                continue;
            }
            outlines++;
            points = n;
            length = 0;
            for (unsigned c = 0; c < m->GetLines()->GetNumberOfCells(); c++) {
                std::list<igtlUint32> cell;
                m->GetLines()->GetCell(c, cell);
                is_closed &= cell.size() > 3 && cell.front() == cell.back();
                float last[3];
                bool has_last = false;
                for (igtlUint32 id : cell) {
                    float at[3];
                    m->GetPoints()->GetPoint(id, at);
                    if (has_last) length += std::hypot(at[0] - last[0], at[1] - last[1]);
                    for (int k = 0; k < 2; k++) {
                        bool is_first = c == 0 && !has_last;
                        low[k] = is_first ? at[k] : std::fmin(low[k], at[k]);
                        high[k] = is_first ? at[k] : std::fmax(high[k], at[k]);
                    }
                    has_last = true;
                    for (int k = 0; k < 3; k++) last[k] = at[k];
                }
            }
        } else if (type == "STRING") {
            igtl::StringMessage::Pointer m = body<igtl::StringMessage>(socket, header, bad);
            if (m.IsNull()) continue;
            strings++;
            text = m->GetString();
        } else if (type == "STATUS") {
            igtl::StatusMessage::Pointer m = body<igtl::StatusMessage>(socket, header, bad);
            if (m.IsNull()) continue;
            statuses++;
            status = m->GetStatusString();
        } else {
            socket->Skip(header->GetBodySizeToRead(), 0);
        }
    }
    socket->CloseSocket();
    printf("{\"images\":%d,\"labelled\":%d,\"outlines\":%d,\"empty\":%d,\"strings\":%d,\"statuses\":%d,\"bad\":%d,", images, labelled,
           outlines, empty, strings, statuses, bad);
    printf("\"size\":[%d,%d,%d],\"spacing\":[%g,%g,%g],\"pixels\":%d,", size[0], size[1], size[2], spacing[0], spacing[1], spacing[2],
           pixels);
    printf("\"points\":%d,\"closed\":%s,\"length_mm\":%g,\"low\":[%g,%g],\"high\":[%g,%g],", points, is_closed ? "true" : "false", length,
           low[0], low[1], high[0], high[1]);
    printf("\"status\":\"%s\",\"text\":%s}\n", status.c_str(), text.empty() ? "null" : text.c_str());
    return 0;
}
