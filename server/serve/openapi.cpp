#include "openapi.hpp"

#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <map>
#include <set>
#include <stdexcept>

namespace serve {
namespace {

using rapidjson::Document, rapidjson::Value;

constexpr const char* kSchemaPrefix = "#/components/schemas/";
constexpr const char* kFailure = "#/components/responses/Failure";

// Of every answer that an error is, and of some that none is.
constexpr const char* kOwnHeaders = R"json({
  "RequestId": {"description": "Names the request: as the client gave it, or made here.", "schema": {"type": "string"}},
  "ETag": {"description": "Another one when the file has changed; for If-Range.", "schema": {"type": "string"}},
  "AcceptRanges": {"description": "Parts can be had.", "schema": {"type": "string", "enum": ["bytes"]}},
  "ContentRange": {"description": "Which part this is (not with several), or how much there is.", "schema": {"type": "string"}}
})json";

// What is not the answer of an operation. Schemas and frames are data of this description, and so text here.
constexpr const char* kOwnSchemas = R"json({
  "Error": {"type": "object", "description": "Every failure.", "required": ["code", "message", "request_id"], "properties": {
    "code": {"type": "string", "description": "What kind of failure; the same word on every surface of the library.", "enum": ["BAD_REQUEST", "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND",
      "CONFLICT", "RESOURCE_LIMIT", "TIMEOUT", "CANCELLED", "UNAVAILABLE", "UNSUPPORTED", "CLOSED", "FORKED", "IO_ERROR", "FILE_NOT_FOUND", "INTERNAL_ERROR"]},
    "message": {"type": "string", "description": "One line for people; names the field and the limit."},
    "details": {"type": "object", "description": "Facts for programs: field, limit, step, errno ..."},
    "request_id": {"type": "string", "description": "As in X-Request-ID."}}},
  "Started": {"type": "object", "required": ["exec_id"], "properties": {"exec_id": {"type": "string", "description": "Names the command."}}},
  "Written": {"type": "object", "required": ["status", "bytes"], "properties": {"status": {"const": "written"}, "bytes": {"type": "integer", "minimum": 0}}},
  "End": {"type": "object", "description": "How a command ended.", "properties": {
    "exit_code": {"type": "integer", "description": "128 + signal where a signal ended it."}, "signal": {"type": "integer"},
    "reason": {"type": "string", "enum": ["exited", "signalled", "timeout", "oom", "output_limit", "cancelled"]},
    "wall_us": {"type": "integer"}, "cpu_us": {"type": "integer"}, "memory_peak_bytes": {"type": "integer"}}},
  "OutputLine": {"description": "A line of application/x-ndjson. Empty lines come in times of silence. The last one has no data, but the members of End; or `error`, where the stream broke.",
    "type": "object", "required": ["stream", "data"], "properties": {
      "stream": {"type": "string", "enum": ["stdout", "stderr"]}, "data": {"type": "string", "description": "Bytes that are not UTF-8 show as U+FFFD."},
      "data_b64": {"type": "string", "contentEncoding": "base64", "description": "The exact bytes, where they are not UTF-8."},
      "gap_until": {"type": "integer", "description": "Output before this offset is lost."},
      "error": {"type": "object", "properties": {"code": {"type": "string"}, "message": {"type": "string"}}}},
    "allOf": [{"$ref": "#/components/schemas/End"}]},
  "CommandStart": {"type": "object", "description": "Which command, and how: as in ExecRequest.", "required": ["type", "command"], "properties": {"type": {"const": "start"}, "command": {"type": "string"}, "args": {"type": "array", "items": {"type": "string"}},
    "mode": {"type": "string", "enum": ["shell", "argv"]}, "env": {"type": "object", "additionalProperties": {"type": "string"}}, "workdir": {"type": "string"}, "user": {"type": "string"},
    "timeout": {"type": "string"}, "tty": {"type": "boolean"}, "cols": {"type": "integer"}, "rows": {"type": "integer"}}},
  "CommandFrame": {"description": "What a client says: `start` first (but not to a command that runs), then the others in any order. Binary frames are standard input.", "oneOf": [
    {"$ref": "#/components/schemas/CommandStart"},
    {"type": "object", "title": "CommandInput", "required": ["type"], "properties": {"type": {"const": "stdin"}, "data": {"type": "string"}, "data_base64": {"type": "string", "contentEncoding": "base64"},
      "eof": {"type": "boolean", "description": "After this, the end of standard input."}}},
    {"type": "object", "title": "CommandResize", "required": ["type", "cols", "rows"], "properties": {"type": {"const": "resize"}, "cols": {"type": "integer", "minimum": 1, "maximum": 4096},
      "rows": {"type": "integer", "minimum": 1, "maximum": 4096}}},
    {"type": "object", "title": "CommandSignal", "required": ["type", "signal"], "properties": {"type": {"const": "signal"}, "signal": {"type": ["string", "integer"], "description": "SIGINT, INT or 2."},
      "group": {"type": "boolean", "description": "To its process group."}}}]},
  "SandboxFrame": {"description": "What the server says. After `exit` and `error` it closes.", "oneOf": [
    {"type": "object", "title": "SandboxOutput", "required": ["type"], "properties": {"type": {"type": "string", "enum": ["stdout", "stderr"]}, "data": {"type": "string"},
      "data_base64": {"type": "string", "contentEncoding": "base64", "description": "Instead of data, where the bytes are not UTF-8."}}},
    {"type": "object", "title": "SandboxGap", "required": ["type", "until"], "properties": {"type": {"const": "gap"}, "until": {"type": "integer"}}},
    {"$ref": "#/components/schemas/ExitFrame"}, {"$ref": "#/components/schemas/ErrorFrame"}]},
  "ExitFrame": {"description": "How the command ended.", "type": "object", "required": ["type", "exit_code"], "properties": {"type": {"const": "exit"}}, "allOf": [{"$ref": "#/components/schemas/End"}]},
  "ErrorFrame": {"description": "What the conversation failed with.", "type": "object", "required": ["type", "code", "message"], "properties": {"type": {"const": "error"}, "code": {"type": "string"},
    "message": {"type": "string"}, "details": {"type": "object"}}},
  "StreamFrame": {"description": "What a client says: first the operation's request as JSON (or nothing), then these. Binary frames are bytes for the stream.", "oneOf": [
    {"type": "object", "title": "StreamFinish", "description": "No more bytes from the client.", "required": ["type"], "properties": {"type": {"const": "finish"}}},
    {"type": "object", "title": "StreamCancel", "required": ["type"], "properties": {"type": {"const": "cancel"}}},
    {"type": "object", "title": "StreamControl", "description": "As in CommandFrame.", "required": ["type"], "properties": {"type": {"type": "string", "enum": ["resize", "signal"]}}}]},
  "StreamAnswer": {"description": "What the server says: `started` or `error` first. A binary frame is a chunk: its kind (0 bytes, 1 stdout, 2 stderr, 4 event) in one byte, its position in eight, most significant first, and its bytes.", "oneOf": [
    {"type": "object", "title": "StreamStarted", "required": ["type"], "properties": {"type": {"const": "started"}, "exec_id": {"type": "string"}}},
    {"type": "object", "title": "StreamGap", "required": ["type", "position"], "properties": {"type": {"const": "gap"}, "position": {"type": "integer", "minimum": 0}}},
    {"type": "object", "title": "StreamHalf", "description": "A connection's other side sends no more, and takes what comes.", "required": ["type"], "properties": {"type": {"const": "half"}}},
    {"$ref": "#/components/schemas/ExitFrame"},
    {"type": "object", "title": "StreamEnd", "required": ["type"], "properties": {"type": {"const": "end"}}},
    {"$ref": "#/components/schemas/ErrorFrame"}]},
  "Event": {"type": "object", "description": "The data of a server-sent event.", "required": ["type"], "properties": {"id": {"type": "string"}, "type": {"type": "string"}, "sandbox_id": {"type": "string"},
    "timestamp": {"type": "string", "format": "date-time"}, "data": {"type": "object"}}},
  "FileEvent": {"type": "object", "description": "The data of a server-sent event about a file.", "required": ["type"], "properties": {
    "type": {"type": "string", "enum": ["watching", "created", "modified", "removed", "renamed", "attributes", "overflow"]},
    "path": {"type": "string"}, "path_b64": {"type": "string", "contentEncoding": "base64"}, "to": {"type": "string"}, "to_b64": {"type": "string", "contentEncoding": "base64"}, "is_dir": {"type": "boolean"}}}
})json";

class Description {
 public:
  Description(const std::string& operations, const std::string& version, bool keys_needed) : keys_needed_(keys_needed), a_(out_.GetAllocator()) {
    if (operations_.Parse(operations.data(), operations.size()).HasParseError() || !operations_.IsArray()) throw std::runtime_error("the operation table is no JSON array");
    for (const Value& operation : operations_.GetArray()) by_name_[operation["name"].GetString()] = &operation;
    out_.SetObject();
    out_.AddMember("openapi", "3.1.0", a_);
    Value info(rapidjson::kObjectType);
    info.AddMember("title", "stacyvm", a_);
    info.AddMember("version", text(version), a_);
    info.AddMember("description", "Disposable, isolated computers for programs.", a_);
    Value licence(rapidjson::kObjectType);
    licence.AddMember("name", "Apache-2.0", a_);
    licence.AddMember("identifier", "Apache-2.0", a_);
    info.AddMember("license", licence, a_);
    out_.AddMember("info", info, a_);
    Document own(&a_);
    own.Parse(kOwnSchemas);
    schemas_ = static_cast<Value&>(own);
    add_parsed(out_, "servers", R"([{"url": "/", "description": "Where this description was."}])");
    // None is said in so many words: without the member one could not tell it from forgotten.
    add_parsed(out_, "security", keys_needed ? R"([{"key": []}, {"admin_key": []}])" : "[]");
  }

  void add(const Route& route) {
    const std::string path(route.path);
    if (!paths_.HasMember(path.c_str())) paths_.AddMember(text(path), Value(rapidjson::kObjectType), a_);
    std::string method(route.method);
    for (char& c : method) c = static_cast<char>(c | 0x20);
    paths_[path.c_str()].AddMember(text(method), operation(route), a_);
  }

  std::string json() {
    Value tags(rapidjson::kArrayType);
    for (const std::string& name : tags_) {
      Value tag(rapidjson::kObjectType);
      tag.AddMember("name", text(name), a_);
      tag.AddMember("description", text(tag_description(name)), a_);
      tags.PushBack(tag, a_);
    }
    out_.AddMember("tags", tags, a_);
    out_.AddMember("paths", paths_, a_);
    Value components(rapidjson::kObjectType);
    components.AddMember("schemas", schemas_, a_);
    add_parsed(components, "headers", kOwnHeaders);
    Value failures(rapidjson::kObjectType);
    Value failure = answer("See code and message.", "application/json", ref("Error"));
    add_headers(failure, {{"X-Request-ID", "RequestId"}});
    failures.AddMember("Failure", failure, a_);
    components.AddMember("responses", failures, a_);
    if (keys_needed_)
      add_parsed(components, "securitySchemes",
                 R"({"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}, "admin_key": {"type": "apiKey", "in": "header", "name": "X-Admin-API-Key"}})");
    out_.AddMember("components", components, a_);
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
    out_.Accept(writer);
    return {buffer.GetString(), buffer.GetSize()};
  }

 private:
  Value text(std::string_view value) { return Value(value.data(), static_cast<rapidjson::SizeType>(value.size()), a_); }
  Value copy(const Value& value) { return Value(value, a_); }
  Value ref_to(const std::string& place) {
    Value value(rapidjson::kObjectType);
    value.AddMember("$ref", text(place), a_);
    return value;
  }
  Value ref(const std::string& name) { return ref_to(kSchemaPrefix + name); }
  void add_parsed(Value& to, const char* name, const char* json) {
    Document parsed(&a_);
    parsed.Parse(json);
    to.AddMember(rapidjson::StringRef(name), static_cast<Value&>(parsed), a_);
  }

  /// And no field that is called so.
  static bool is_default(const Value::Member& member) { return std::string_view(member.name.GetString()) == "default" && !member.value.IsObject(); }

  /// In the description: clients that are made from the schema would send what the word "default" has, and what is sent is asked for (a limit that is asked for
  /// has to be enforced, and goes over what the server is configured to give).
  void say_default(const Value& schema, Value& object) {
    const auto found = schema.FindMember("default");
    if (found == schema.MemberEnd() || !is_default(*found)) return;
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
    found->value.Accept(writer);
    const std::string before = object.HasMember("description") ? object["description"].GetString() + std::string(" ") : "";
    object.RemoveMember("description");
    object.AddMember("description", text(before + "Default: " + buffer.GetString() + '.'), a_);
  }

  /// Objects that have a title become components; a "$schema" is the document's.
  Value hoisted(const Value& schema) {
    if (schema.IsArray()) {
      Value list(rapidjson::kArrayType);
      for (const Value& each : schema.GetArray()) list.PushBack(hoisted(each), a_);
      return list;
    }
    if (!schema.IsObject()) return copy(schema);
    Value object(rapidjson::kObjectType);
    for (const auto& member : schema.GetObject())
      if (std::string_view(member.name.GetString()) != "$schema" && !is_default(member)) object.AddMember(copy(member.name), hoisted(member.value), a_);
    say_default(schema, object);
    if (!schema.HasMember("title") || !schema["title"].IsString()) return object;
    const std::string title = schema["title"].GetString();
    const auto known = schemas_.FindMember(title.c_str());
    if (known == schemas_.MemberEnd())
      schemas_.AddMember(text(title), object, a_);
    else if (known->value != object)
      return object;  // another form of it: said in full
    return ref(title);
  }

  /// In a query there is no null.
  Value without_null(const Value& schema) {
    Value object(rapidjson::kObjectType);
    for (const auto& member : schema.GetObject()) {
      const std::string_view name = member.name.GetString();
      if (name == "type" && member.value.IsArray()) {
        for (const Value& each : member.value.GetArray())
          if (std::string_view(each.GetString()) != "null") object.AddMember("type", copy(each), a_);
      } else if (name == "enum") {
        Value words(rapidjson::kArrayType);
        for (const Value& each : member.value.GetArray())
          if (!each.IsNull()) words.PushBack(copy(each), a_);
        object.AddMember("enum", words, a_);
      } else if (name != "description" && name != "writeOnly" && !is_default(member)) {
        object.AddMember(copy(member.name), copy(member.value), a_);
      }
    }
    return object;
  }

  static bool is_type(const Value& schema, std::string_view type) {
    const auto found = schema.FindMember("type");
    if (found == schema.MemberEnd()) return false;
    if (found->value.IsString()) return found->value.GetString() == type;
    for (const Value& each : found->value.GetArray())
      if (each.GetString() == type) return true;
    return false;
  }

  static bool is_required(const Value& schema, const char* name) {
    if (!schema.HasMember("required")) return false;
    for (const Value& each : schema["required"].GetArray())
      if (std::string_view(each.GetString()) == name) return true;
    return false;
  }

  Value parameter(const char* name, const char* where, const Value& schema, bool required) {
    Value value(rapidjson::kObjectType);
    value.AddMember("name", text(name), a_);
    value.AddMember("in", text(where), a_);
    if (required) value.AddMember("required", true, a_);
    if (schema.HasMember("description")) value.AddMember("description", copy(schema["description"]), a_);
    say_default(schema, value);
    value.AddMember("schema", without_null(schema), a_);
    return value;
  }

  /// What may be asked for under its own name, in this form.
  Value operation_names(const Route& route) {
    Value names(rapidjson::kArrayType);
    for (const auto& [name, operation] : by_name_) {
      const bool streamed = std::string_view((*operation)["shape"].GetString()) == "stream";
      if (route_of(name) && streamed == (route.form == Form::operation_stream)) names.PushBack(text(name), a_);
    }
    return names;
  }

  /// What is in the path, and the rest of the request: in the query where there is no JSON body.
  Value parameters(const Route& route, const Value* request, bool with_query, std::set<std::string>& in_path) {
    Value list(rapidjson::kArrayType);
    const std::string path(route.path);
    for (size_t at = path.find('{'); at != path.npos; at = path.find('{', at + 1)) {
      const std::string name = path.substr(at + 1, path.find('}', at) - at - 1);
      in_path.insert(name);
      Document fallback;
      fallback.Parse(R"({"type": "string", "minLength": 1})");
      if (name == "operation") fallback.AddMember("enum", operation_names(route), fallback.GetAllocator());
      const bool known = request && (*request)["properties"].HasMember(name.c_str());
      list.PushBack(parameter(name.c_str(), "path", known ? (*request)["properties"][name.c_str()] : static_cast<const Value&>(fallback), true), a_);
    }
    if (!request || !with_query) return list;
    for (const auto& member : (*request)["properties"].GetObject()) {
      const char* name = member.name.GetString();
      if (in_path.contains(name) || is_type(member.value, "object")) continue;
      list.PushBack(parameter(name, "query", member.value, is_required(*request, name)), a_);
    }
    return list;
  }

  /// The request without what the path says.
  Value body_schema(const Value& request, const std::set<std::string>& in_path) {
    Value schema = copy(request);
    for (const std::string& name : in_path) schema["properties"].EraseMember(name.c_str());
    if (schema.HasMember("required")) {
      Value required(rapidjson::kArrayType);
      for (const Value& each : schema["required"].GetArray())
        if (!in_path.contains(each.GetString())) required.PushBack(copy(each), a_);
      schema.EraseMember("required");
      if (!required.Empty()) schema.AddMember("required", required, a_);
    }
    return hoisted(schema);
  }

  Value content(const char* type, Value schema) {
    Value media(rapidjson::kObjectType), all(rapidjson::kObjectType);
    media.AddMember("schema", schema, a_);
    all.AddMember(text(type), media, a_);
    return all;
  }

  Value answer(const char* description, const char* type, Value schema) {
    Value value(rapidjson::kObjectType);
    value.AddMember("description", text(description), a_);
    if (type) value.AddMember("content", content(type, std::move(schema)), a_);
    return value;
  }

  /// What is said in a header, of an answer that has no such thing yet.
  void add_headers(Value& answer, std::initializer_list<std::pair<const char*, const char*>> headers) {
    Value all(rapidjson::kObjectType);
    for (const auto& [name, component] : headers) all.AddMember(text(name), ref_to("#/components/headers/" + std::string(component)), a_);
    answer.AddMember("headers", all, a_);
  }

  /// What a form reads from the request's head.
  void add_header_parameters(const Route& route, Value& list) {
    const auto add = [&](const char* name, const char* description) {
      Value schema(rapidjson::kObjectType);
      schema.AddMember("type", "string", a_);
      schema.AddMember("description", text(description), a_);
      list.PushBack(parameter(name, "header", schema, false), a_);
    };
    if (route.form == Form::download) {
      add("Range", "Parts of the file (RFC 9110 section 14.2): bytes=0-99, bytes=-10, or several.");
      add("If-Range", "An ETag: the parts only while it is the file's, otherwise the whole.");
    } else if (route.form == Form::events) {
      add("Last-Event-ID", "As after; a browser that comes back gives it.");
    }
  }

  Value any_text() {
    Value schema(rapidjson::kObjectType);
    schema.AddMember("type", "string", a_);
    return schema;
  }

  void add_success(const Route& route, const Value* operation, Value& responses) {
    const std::string status = std::to_string(route.status);
    const auto add = [&](const char* code, Value value) { responses.AddMember(text(code), value, a_); };
    switch (route.form) {
      case Form::exec: {
        Value value = answer("How it ended, with its output; or with `stream`, its output as it comes.", "application/json", hoisted((*operation)["response"]));
        Value late(rapidjson::kObjectType), both(rapidjson::kArrayType);
        both.PushBack(ref("Error"), a_).PushBack(hoisted((*operation)["response"]), a_);
        late.AddMember("allOf", both, a_);
        add("408", answer("Its time was over, and it was killed: with what it wrote until then.", "application/json", std::move(late)));
        Value lines(rapidjson::kObjectType);
        lines.AddMember("schema", any_text(), a_);
        value["content"].AddMember("application/x-ndjson", lines, a_);
        return add(status.c_str(), std::move(value));
      }
      case Form::text: return add(status.c_str(), answer("Text.", "text/plain; version=0.0.4; charset=utf-8", any_text()));
      case Form::start: return add(status.c_str(), answer("It runs.", "application/json", ref("Started")));
      case Form::output: return add(status.c_str(), answer("Output as it comes.", "application/x-ndjson", any_text()));
      case Form::terminal:
      case Form::attach:
      case Form::port:
      case Form::operation_stream:
        add("426", ref_to(kFailure));
        return add("101", answer("A WebSocket.", nullptr, Value()));
      case Form::events:
      case Form::watch: return add(status.c_str(), answer("Server-sent events.", "text/event-stream", any_text()));
      case Form::download:
        {
          Value parts = answer("The range that was asked for; of several a part for each.", "application/octet-stream", Value(rapidjson::kObjectType));
          Value several(rapidjson::kObjectType);
          several.AddMember("schema", Value(rapidjson::kObjectType), a_);
          parts["content"].AddMember("multipart/byteranges", several, a_);
          add_headers(parts, {{"ETag", "ETag"}, {"Accept-Ranges", "AcceptRanges"}, {"Content-Range", "ContentRange"}});
          add("206", std::move(parts));
          Value none = answer("There are no such ranges.", "application/json", ref("Error"));
          add_headers(none, {{"Content-Range", "ContentRange"}});
          add("416", std::move(none));
          Value whole = answer("Bytes of the file.", "application/octet-stream", Value(rapidjson::kObjectType));
          add_headers(whole, {{"ETag", "ETag"}, {"Accept-Ranges", "AcceptRanges"}});
          return add(status.c_str(), std::move(whole));
        }
      case Form::upload:
      case Form::tar_upload: return add(status.c_str(), answer("It is there, whole.", "application/json", ref("Written")));
      case Form::tar_download: return add(status.c_str(), answer("A tar archive (POSIX pax).", "application/x-tar", Value(rapidjson::kObjectType)));
      case Form::operation: {
        // Any JSON, or text: which depends on the name.
        Value value = answer("What the operation answers: see the route that is its own.", "application/json", Value(rapidjson::kObjectType));
        Value media(rapidjson::kObjectType);
        media.AddMember("schema", any_text(), a_);
        value["content"].AddMember("text/plain; version=0.0.4; charset=utf-8", media, a_);
        return add(status.c_str(), std::move(value));
      }
      case Form::openapi: return add(status.c_str(), answer("This description.", "application/json", Value(rapidjson::kObjectType)));
      case Form::docs: return add(status.c_str(), answer("A page.", "text/html; charset=utf-8", any_text()));
      case Form::ready:
        add("503", answer("No sandbox can be started; or the server ends.", "application/json", hoisted((*operation)["response"])));
        break;
      case Form::json:
      case Form::destroy: break;
    }
    add(status.c_str(), answer("Done.", "application/json", hoisted((*operation)["response"])));
  }

  /// What the operations have in common whose names begin with this word.
  static const char* tag_description(std::string_view tag) {
    constexpr std::pair<std::string_view, const char*> kAll[] = {
        {"sandbox", "Sandboxes: started, looked at, ended."},
        {"exec", "Commands in a sandbox, in the foreground and in the background; which there were."},
        {"file", "Files and trees of a sandbox."},
        {"port", "What listens in a sandbox, and connections to it."},
        {"template", "What sandboxes are made from again and again."},
        {"event", "What happens to sandboxes."},
        {"provider", "What sandboxes are made by."},
        {"quota", "How much there may be, and is."},
        {"pool", "Sandboxes that are kept ready."},
        {"system", "Whether the server is well, in words and in numbers."},
        {"server", "The server itself."},
    };
    for (const auto& [name, description] : kAll)
      if (name == tag) return description;
    throw std::logic_error("no description of the operations " + std::string(tag));
  }

  /// Of a route that is no operation's.
  static const char* summary_of(Form form) {
    switch (form) {
      case Form::operation: return "Any operation under its own name, for the library on the other side.";
      case Form::operation_stream: return "Any operation that answers with a stream, for the library on the other side.";
      case Form::openapi: return "This description.";
      case Form::docs: return "A page that shows this description.";
      default: throw std::logic_error("a route without an operation and without a summary");
    }
  }

  void add_frames(const Route& route, Value& operation) {
    Value frames(rapidjson::kObjectType);
    if (route.form == Form::terminal || route.form == Form::attach) {
      frames.AddMember("client", ref("CommandFrame"), a_);
      frames.AddMember("server", ref("SandboxFrame"), a_);
    } else if (route.form == Form::port) {
      frames.AddMember("client", answer("Binary frames: bytes for the connection.", nullptr, Value()), a_);
      Value server = answer("Binary frames: bytes of the connection. Text: what it failed with.", nullptr, Value());
      Value texts(rapidjson::kArrayType);
      texts.PushBack(ref("ErrorFrame"), a_);
      server.AddMember("oneOf", texts, a_);
      frames.AddMember("server", server, a_);
    } else if (route.form == Form::operation_stream) {
      frames.AddMember("client", ref("StreamFrame"), a_);
      frames.AddMember("server", ref("StreamAnswer"), a_);
    } else if (route.form == Form::exec || route.form == Form::output) {
      frames.AddMember("server", ref("OutputLine"), a_);
    } else if (route.form == Form::events) {
      frames.AddMember("server", ref("Event"), a_);
    } else if (route.form == Form::watch) {
      frames.AddMember("server", ref("FileEvent"), a_);
    } else {
      return;
    }
    operation.AddMember("x-stacyvm-frames", frames, a_);
  }

  Value operation(const Route& route) {
    const auto found = by_name_.find(std::string(route.operation));
    if (found == by_name_.end() && !route.operation.empty()) throw std::runtime_error("no operation " + std::string(route.operation));
    const Value* known = found == by_name_.end() ? nullptr : found->second;
    const Value* request = known ? &(*known)["request"] : nullptr;
    const bool body = route.method == "POST" || route.method == "PATCH", bytes = route.method == "PUT" && (route.form == Form::upload || route.form == Form::tar_upload);
    const bool json_body = (body || route.method == "PUT") && !bytes;

    Value value(rapidjson::kObjectType);
    std::string id(route.method);
    for (const char c : route.path) id += (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '_';
    value.AddMember("operationId", text(id), a_);
    if (known) {
      value.AddMember("summary", copy((*known)["doc"]), a_);
      value.AddMember("x-stacyvm-operation", text(route.operation), a_);
      value.AddMember("x-stacyvm-scope", copy((*known)["scope"]), a_);
    }
    if (!known) value.AddMember("summary", text(summary_of(route.form)), a_);
    const std::string tag(route.operation.empty() ? "server" : route.operation.substr(0, route.operation.find('.')));
    tags_.insert(tag);
    Value tags(rapidjson::kArrayType);
    tags.PushBack(text(tag), a_);
    value.AddMember("tags", tags, a_);
    std::set<std::string> in_path;
    Value list = parameters(route, request, !json_body, in_path);
    add_header_parameters(route, list);
    if (!list.Empty()) value.AddMember("parameters", list, a_);
    if (json_body && request) {
      Value whole(rapidjson::kObjectType);
      whole.AddMember("content", content("application/json", body_schema(*request, in_path)), a_);
      whole.AddMember("required", request->HasMember("required") && (*request)["required"].Size() > in_path.size(), a_);
      value.AddMember("requestBody", whole, a_);
    }
    if (bytes) {
      Value whole(rapidjson::kObjectType);
      whole.AddMember("content", content(route.form == Form::upload ? "application/octet-stream" : "application/x-tar", Value(rapidjson::kObjectType)), a_);
      whole.AddMember("required", true, a_);
      value.AddMember("requestBody", whole, a_);
    }
    if (route.access == Access::open) value.AddMember("security", Value(rapidjson::kArrayType), a_);
    Value responses(rapidjson::kObjectType);
    add_success(route, known, responses);
    for (const char* status : {"400", "401", "403", "404", "408", "409", "410", "413", "422", "429", "500", "503"})
      if (!responses.HasMember(status)) responses.AddMember(text(status), ref_to(kFailure), a_);
    responses.AddMember("default", ref_to(kFailure), a_);
    value.AddMember("responses", responses, a_);
    add_frames(route, value);
    return value;
  }

  const bool keys_needed_;
  std::set<std::string> tags_;
  Document operations_, out_;
  Document::AllocatorType& a_;
  Value paths_{rapidjson::kObjectType}, schemas_{rapidjson::kObjectType};
  std::map<std::string, const Value*> by_name_;
};

}  // namespace

std::string make_openapi(const std::string& operations, std::span<const Route> routes, const std::string& version, bool keys_needed) {
  Description description(operations, version, keys_needed);
  for (const Route& route : routes) description.add(route);
  return description.json();
}

const char* const kDocsPage = R"html(<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>stacyvm</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}code,pre{font-family:ui-monospace,monospace;font-size:.85rem}
details{border:1px solid #ddd;border-radius:4px;margin:.3rem 0;padding:.3rem .6rem}summary{cursor:pointer}
summary b{display:inline-block;width:4.5rem;font-family:ui-monospace,monospace}pre{overflow:auto;background:#f6f6f6;padding:.5rem}
table{border-collapse:collapse}td,th{text-align:left;padding:.15rem .8rem .15rem 0;vertical-align:top}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}details{border-color:#444}pre{background:#222}}
</style>
<h1>stacyvm</h1><p id="state">Loading the description &hellip;</p>
<form id="key" hidden><label>Key <input name="key" type="password" autocomplete="off"></label> <button>Show</button></form><main></main>
<script>
const make=(name,text,parent)=>{const e=document.createElement(name);if(text!==undefined)e.textContent=text;if(parent)parent.append(e);return e};
const state=document.getElementById('state'),form=document.getElementById('key'),main=document.querySelector('main');
async function show(key){
  const answer=await fetch('/api/v1/openapi.json',key?{headers:{'X-API-Key':key}}:{});
  if(answer.status===401){state.textContent='This server wants a key.';form.hidden=false;return}
  const all=await answer.json();form.hidden=true;state.textContent=all.info.description+' Version '+all.info.version+'.';main.replaceChildren();
  const groups=new Map();
  for(const [path,methods] of Object.entries(all.paths))for(const [method,op] of Object.entries(methods)){
    const group=(op['x-stacyvm-operation']||'server').split('.')[0];
    if(!groups.has(group))groups.set(group,[]);groups.get(group).push([method.toUpperCase(),path,op])}
  for(const [group,ops] of groups){make('h2',group,main);for(const [method,path,op] of ops){
    const box=make('details',undefined,main),head=make('summary',undefined,box);make('b',method,head);make('code',path,head);
    make('p',op.summary||'',box);
    if(op.parameters){const table=make('table',undefined,box);for(const p of op.parameters){const row=make('tr',undefined,table);
      make('code',p.name,make('td',undefined,row));make('td',p.in+(p.required?', required':''),row);make('td',p.description||'',row)}}
    if(op.requestBody){make('p','Request body',box);make('pre',JSON.stringify(op.requestBody.content,null,2),box)}
    make('p','Answers',box);const good=Object.entries(op.responses).filter(([s])=>s<'400');
    make('pre',JSON.stringify(Object.fromEntries(good),null,2),box);
    if(op['x-stacyvm-frames']){make('p','Frames',box);make('pre',JSON.stringify(op['x-stacyvm-frames'],null,2),box)}}}
  make('h2','schemas',main);for(const [name,schema] of Object.entries(all.components.schemas)){
    const box=make('details',undefined,main);make('code',name,make('summary',undefined,box));make('pre',JSON.stringify(schema,null,2),box)}
}
form.addEventListener('submit',e=>{e.preventDefault();show(form.key.value)});show();
</script></html>
)html";

}  // namespace serve
