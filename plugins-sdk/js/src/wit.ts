// The values of `wit/types.wit` as the engine hands them over. Authors see the classes around them.

export type Variant<Tag extends string, Value> = { tag: Tag; val: Value };
export type Case<Tag extends string> = { tag: Tag };

export type Method =
  | Case<"get" | "head" | "post" | "put" | "delete" | "patch" | "options">
  | Variant<"other", string>;

export type Field = { name: string; value: Uint8Array };
export type Header = { index: number; value: Uint8Array };
export type BodyMode = Case<"none" | "streamed"> | Variant<"buffered", number>;

export type Needs = {
  phases: { request: boolean; response: boolean };
  requestHeaders: string[];
  responseHeaders: string[];
  requestBody: BodyMode;
  responseBody: BodyMode;
  bodyTypes: string[];
  wants: { client: boolean; claims: boolean; allRequestHeaders: boolean; allResponseHeaders: boolean };
};

export type Client = {
  name: string;
  method: string;
  issuer: string | null;
  scopes: string[];
  plan: string | null;
  claims: string | null;
};

export type Request = {
  method: Method;
  scheme: "http" | "https";
  pathWithQuery: string;
  headers: Header[];
  others: Field[] | null;
  client: Client | null;
  body: Uint8Array | null;
};

export type Response = {
  status: number;
  headers: Header[];
  others: Field[] | null;
  client: Client | null;
  state: Uint8Array | null;
  fromGateway: boolean;
  body: Uint8Array | null;
};

export type Edit =
  | Variant<"set-header" | "add-header", Field>
  | Variant<"remove-header" | "set-path-with-query" | "set-request-id", string>
  | Variant<"set-method", Method>
  | Variant<"set-body", Uint8Array>
  | Variant<"set-client", Client>
  | Variant<"limit-body", number>;

export type ResponseEdit =
  | Variant<"set-header" | "add-header", Field>
  | Variant<"remove-header", string>
  | Variant<"set-status" | "limit-body", number>
  | Variant<"set-body", Uint8Array>;

export type Changes = { request: Edit[]; response: ResponseEdit[]; state: Uint8Array | null };
export type Reply = { status: number; headers: Field[]; body: Uint8Array };
export type RequestVerdict = Variant<"next", Changes> | Variant<"respond", Reply>;
export type ResponseVerdict = Variant<"next", ResponseEdit[]> | Variant<"respond", Reply>;
export type ChunkVerdict = Case<"pass"> | Variant<"replace", Uint8Array> | Variant<"respond", Reply>;

