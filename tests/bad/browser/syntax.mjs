// rejects: Unexpected token
export const broken = (1;
